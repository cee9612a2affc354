"""Collaborators and projects, in a real browser: who may change what, and what is said when one may not."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect


@pytest.fixture
def people(page: Page, panel_server: str) -> Page:
    page.goto(f"{panel_server}/pages/people.html")
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def row(page: Page, user: str) -> Locator:
    return page.locator(f"tr[data-user='{user}']")


def asked(page: Page, verb: str) -> list[object]:
    return [args for each, args in page.evaluate("source.asked") if each == verb]


def test_the_owner_stands_first_then_by_permission(people: Page) -> None:
    people.evaluate("showPeople()")
    expect(row(people, "ann")).to_contain_text("owner")
    users = people.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.user)")
    assert users == ["ann", "bob", "dora"]


def test_an_admin_changes_a_permission(people: Page) -> None:
    people.evaluate("showPeople()")
    select = people.get_by_label("Permission of bob")
    select.select_option("ADMIN")
    expect(row(people, "bob")).to_contain_text("now ADMIN")
    expect(people.get_by_label("Permission of bob")).to_have_value("ADMIN")
    assert asked(people, "change") == [{"user": "bob", "permission": "ADMIN"}]


def test_a_refused_change_goes_back_and_says_why_beside_the_row(people: Page) -> None:
    people.evaluate("showPeople({refuse: 'ADMIN on ann/digits was taken from you.'})")
    people.get_by_label("Permission of bob").select_option("READ")
    expect(row(people, "bob").get_by_role("alert")).to_have_text("ADMIN on ann/digits was taken from you.")
    expect(people.get_by_label("Permission of bob")).to_have_value("WRITE")
    expect(row(people, "dora").get_by_role("alert")).to_have_count(0)


def test_removing_asks_first(people: Page) -> None:
    people.evaluate("showPeople()")
    people.get_by_role("button", name="Remove bob").click()
    expect(row(people, "bob")).to_contain_text("Remove bob? They lose access at once; what was logged stays.")
    expect(people.get_by_role("button", name="keep")).to_be_focused()
    people.keyboard.press("Escape")
    expect(people.get_by_role("button", name="Remove bob")).to_be_focused()
    assert asked(people, "remove") == []
    people.get_by_role("button", name="Remove bob").click()
    people.get_by_role("button", name="remove", exact=True).click()
    expect(row(people, "bob")).to_have_count(0)
    expect(people.locator(".mlf-people-line")).to_have_text("bob was removed.")


def test_the_owner_cannot_go_and_it_is_said_why(people: Page) -> None:
    people.evaluate("showPeople()")
    expect(row(people, "ann")).to_contain_text("The owner is always ADMIN and stays.")
    expect(row(people, "ann").locator("select, button")).to_have_count(0)


def test_the_last_admin_cannot_go_and_it_is_said_why(people: Page) -> None:
    people.evaluate(
        "showPeople({me: 'bob', people: [{user: 'bob', permission: 'ADMIN', is_owner: false, added_at: 1},"
        " {user: 'dora', permission: 'READ', is_owner: false, added_at: 1}]})"
    )
    expect(row(people, "bob")).to_contain_text("The last ADMIN stays: make somebody else ADMIN first.")
    people.get_by_label("Permission of dora").select_option("ADMIN")
    expect(people.get_by_label("Permission of bob")).to_be_visible()


def test_somebody_is_added(people: Page) -> None:
    people.evaluate("showPeople()")
    people.get_by_label("User to add").fill(" eve ")
    people.get_by_label("Permission to give").select_option("WRITE")
    expect(people.locator("form")).to_contain_text("also creates runs and logs to them")
    people.get_by_label("User to add").press("Enter")
    expect(row(people, "eve")).to_be_visible()
    expect(people.locator(".mlf-people-line")).to_have_text("eve is in, with WRITE.")
    expect(people.get_by_label("User to add")).to_have_value("")
    assert asked(people, "add") == [{"user": "eve", "permission": "WRITE"}]


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "Write the name of the user to add."), ("bob", "bob is here already, with WRITE: change it in the list.")],
)
def test_what_cannot_be_added_is_said_before_anybody_is_asked(people: Page, name: str, message: str) -> None:
    people.evaluate("showPeople()")
    people.get_by_label("User to add").fill(name)
    people.get_by_role("button", name="add").click()
    expect(people.locator(".mlf-people-line")).to_have_text(message)
    assert asked(people, "add") == []


def test_a_refused_addition_keeps_what_was_typed(people: Page) -> None:
    people.evaluate("showPeople({refuse: 'There is no user evee. Did you mean eve?'})")
    people.get_by_label("User to add").fill("evee")
    people.get_by_role("button", name="add").click()
    expect(people.locator(".mlf-people-line")).to_have_text("There is no user evee. Did you mean eve?")
    expect(people.get_by_label("User to add")).to_have_value("evee")


def test_without_admin_everything_is_readable_and_one_line_says_who_can_change_it(people: Page) -> None:
    people.evaluate("showPeople({permission: 'WRITE', me: 'bob'})")
    expect(row(people, "dora")).to_contain_text("READ")
    expect(people.locator(".mlf-people-view")).to_contain_text(
        "Your permission here is WRITE. Collaborators are changed by an ADMIN: ann."
    )
    expect(people.locator("select, button, input")).to_have_count(0)


def test_a_change_that_waits_for_the_kernel_says_queued(people: Page) -> None:
    people.evaluate("showPeople({queued: true})")
    people.get_by_label("Permission of bob").select_option("READ")
    expect(row(people, "bob")).to_contain_text("queued: the kernel is busy")
    people.evaluate("kernelIsFree()")
    expect(row(people, "bob")).to_contain_text("now READ")


def test_a_list_that_waited_for_the_kernel_is_no_longer_called_queued_when_it_is_there(people: Page) -> None:
    people.evaluate("showPeople({isToldBefore: true})")
    expect(people.locator(".mlf-people-view")).to_contain_text("queued: the kernel is busy; the list comes")
    people.evaluate("kernelIsFree()")
    expect(people.locator(".mlf-people-view")).not_to_contain_text("queued")


def test_a_list_that_is_pushed_is_shown_and_what_is_typed_stays(people: Page) -> None:
    people.evaluate("showPeople()")
    people.get_by_label("User to add").fill("half a na")
    people.evaluate(
        "source.send({kind: 'people', people: [{user: 'ann', permission: 'ADMIN', is_owner: true, added_at: 1}]})"
    )
    expect(row(people, "bob")).to_have_count(0)
    expect(people.locator(".mlf-people-view")).to_contain_text("only the owner")
    expect(people.get_by_label("User to add")).to_have_value("half a na")


def test_hostile_users_are_only_text(people: Page) -> None:
    people.evaluate(
        "showPeople({people: [{user: `<img src=x>\"']`, permission: 'READ', is_owner: false, added_at: 1}]})"
    )
    expect(people.locator("tbody")).to_contain_text("<img src=x>")
    assert people.locator("img").count() == 0


PROJECTS = """[
  {owner: 'ann', name: 'old', permission: 'ADMIN', run_count: 3, running_count: 0, last_run_at: NOW - 9e6,
   collaborator_count: 1},
  {owner: 'bob', name: 'iris', permission: 'READ', run_count: 12345, running_count: 2, last_run_at: NOW - 60,
   collaborator_count: 4, people: ['bob', 'ann', 'eve', 'dora']},
  {owner: 'ann', name: 'empty', permission: 'ADMIN', run_count: 0, running_count: 0, last_run_at: null,
   created_at: 5, collaborator_count: 1}]"""


def test_projects_are_listed_with_counts_activity_and_people(people: Page) -> None:
    people.evaluate(f"showProjects({PROJECTS})")
    rows = people.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("bob/iris")
    expect(rows.nth(0)).to_contain_text("12,345")
    expect(rows.nth(0)).to_contain_text("2 running")
    expect(rows.nth(0)).to_contain_text("1 min ago")
    expect(rows.nth(0)).to_contain_text("bob, ann, eve and 1 more")
    expect(rows.nth(2)).to_contain_text("ann/empty")


def test_a_project_is_opened(people: Page) -> None:
    people.evaluate(f"showProjects({PROJECTS})")
    people.get_by_role("button", name="Open bob/iris").click()
    assert asked(people, "open") == [{"owner": "bob", "name": "iris"}]


def test_a_project_that_cannot_be_opened_says_why(people: Page) -> None:
    people.evaluate(f"showProjects({PROJECTS}, {{refuse: 'it was deleted.'}})")
    people.get_by_role("button", name="Open bob/iris").click()
    expect(people.locator(".mlf-people-line")).to_have_text("bob/iris could not be opened: it was deleted.")


def test_no_projects_gives_the_lines_to_copy_that_make_one(people: Page) -> None:
    people.evaluate("showProjects([])")
    expect(people.locator("code")).to_contain_text('with mlfoundry.get_client().create_run("my-project") as run:')


def test_many_projects_are_searched(people: Page) -> None:
    people.evaluate(
        "showProjects(Array.from({length: 20}, (_, i) => "
        "({owner: 'ann', name: `p${i}`, permission: 'READ', run_count: i, collaborator_count: 1})))"
    )
    people.get_by_label("Search projects").fill("p19")
    expect(people.locator("tbody tr")).to_have_count(1)
    expect(people.locator(".mlf-projects-view")).to_contain_text("1 of 20")


@pytest.mark.parametrize("show", ["showPeople({isToldBefore: true})", "showProjects([], {isToldBefore: true})"])
def test_what_was_told_before_the_view_came_is_never_covered_by_a_skeleton(people: Page, show: str) -> None:
    people.clock.install()
    people.evaluate(show)
    people.clock.run_for(1000)
    expect(people.locator("#place > *")).to_be_visible()
    expect(people.locator(".mlf-skeleton")).to_have_count(0)
