"""The bookkeeping of watches: which directory the kernel means by a number."""

from hotfolder.adapters.watching.tree import Node, Tree


def planted(*relpaths: str) -> tuple[Tree, dict[str, Node]]:
    """A tree with these directories; the number of each is its place, from 1 on. The root is 0."""
    tree = Tree(0)
    nodes = {"": tree.root}
    for number, relpath in enumerate(relpaths, start=1):
        above, _, name = relpath.rpartition("/")
        nodes[relpath], is_new, dropped = tree.put(nodes[above], name, number)
        assert is_new
        assert not dropped
    return tree, nodes


def test_a_directory_is_known_by_number_and_by_path() -> None:
    tree, nodes = planted("a", "a/b")
    assert tree.at(2) is nodes["a/b"] is tree.find("a/b")
    assert tree.path(nodes["a/b"]) == "a/b"
    assert tree.path(nodes["a/b"], "file") == "a/b/file"
    assert tree.path(tree.root, "file") == "file"
    assert tree.find("") is tree.root
    assert tree.find("a/c") is None
    assert tree.find("a/b/c/d") is None
    assert len(tree) == 3


def test_the_same_directory_again_is_nothing_new() -> None:
    tree, nodes = planted("a")
    assert tree.put(tree.root, "a", 1) == (nodes["a"], False, [])


def test_a_directory_takes_all_below_it_along() -> None:
    tree, nodes = planted("a", "a/b", "a/b/c", "z")
    for node in nodes.values():
        node.seen = 1
    assert tree.put(nodes["z"], "new", 1) == (nodes["a"], True, [])
    assert tree.path(nodes["a/b/c"]) == "z/new/b/c"
    assert tree.find("a") is None
    assert {path for path, node in nodes.items() if node.seen == -1} == {"a", "a/b", "a/b/c"}


def test_another_directory_in_the_place_of_one_ends_its_watches() -> None:
    tree, nodes = planted("a", "a/b")
    node, is_new, dropped = tree.put(tree.root, "a", 7)
    assert is_new
    assert sorted(dropped) == [1, 2]
    assert not tree.holds(nodes["a"])
    assert tree.find("a") is node


def test_a_directory_in_the_place_of_the_one_that_held_it_stays_watched() -> None:
    tree, _ = planted("a", "a/b")
    node, is_new, dropped = tree.put(tree.root, "a", 2)
    assert is_new
    assert dropped == [1]
    assert tree.holds(node)
    assert tree.at(2) is node


def test_a_directory_in_itself_is_no_tree_and_all_of_it_is_given_up() -> None:
    tree, nodes = planted("a", "a/b")
    node, is_new, dropped = tree.put(nodes["a/b"], "c", 1)
    assert not is_new
    assert not tree.holds(node)
    assert sorted(set(dropped)) == [1, 2]
    assert len(tree) == 1


def test_what_is_cut_is_forgotten_and_its_place_is_free() -> None:
    tree, nodes = planted("a", "a/b", "c")
    assert sorted(tree.cut(nodes["a"])) == [1, 2]
    assert tree.at(2) is None
    assert tree.find("a") is None
    assert tree.find("c") is nodes["c"]


def test_a_survey_leaves_over_what_it_did_not_meet() -> None:
    tree, nodes = planted("a", "b")
    nodes["a"].seen = 3
    assert tree.unseen(3) == [nodes["b"]]
