"""What people come to the dashboard for, from the first click to the last, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from mlfoundry.records import Permission
from tests.dashboard.digits import make_run
from tests.dashboard.site import Site

Opener = Callable[..., Page]
PLOTLY_MS = 60_000


def row(page: Page, name: str):
    return page.locator(".mlf-tr:not([hidden])").filter(has_text=name).first


def test_log_in_with_a_key_and_out_again(open_page: Opener, site: Site) -> None:
    page = open_page(site.digits, None)
    page.watch.expected.append("401")  # type: ignore[attr-defined]
    page.get_by_label("API key").fill("mlf_wrong")
    page.get_by_role("button", name="log in").click()
    expect(page.get_by_role("alert")).to_contain_text("this is no API key")
    page.get_by_label("API key").fill(site.keys["ann"])
    page.get_by_role("button", name="log in").click()
    expect(page.get_by_role("grid")).to_be_visible()
    assert page.url == site.address + site.digits
    page.get_by_title("your account").click()
    page.get_by_role("button", name="log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(site.address + site.digits)
    expect(page.get_by_label("API key")).to_be_visible()


def test_find_the_best_run_and_open_it(open_page: Opener, site: Site) -> None:
    page = open_page("/")
    page.get_by_role("link", name="Open ann/digits").click()
    expect(page.locator(".mlf-best")).to_contain_text("best: cnn-53 lowest last val_loss 0.0931 of 53 finished runs")
    expect(page.locator(".mlf-best")).to_contain_text("cnn-28 failed, with 0.0666")
    page.locator(".mlf-th").filter(has_text="val_loss").first.click()
    row(page, "cnn-53").get_by_role("link").click()
    page.wait_for_url(re.compile(site.runs["cnn-53"].run_id))
    expect(page.locator(".mlf-run-header")).to_contain_text("cnn-53")
    expect(page.locator(".mlf-run-header")).to_contain_text("val_loss0.0931")
    expect(page.locator(".mlf-charts-tab .scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)


def test_compare_three_and_send_the_comparison_to_somebody(open_page: Opener, site: Site) -> None:
    page = open_page(f"{site.digits}?sort=val_loss")
    for name in ("cnn-53", "cnn-28", "svm-01"):
        row(page, name).locator(".mlf-check").click()
    page.get_by_role("button", name="compare 3").click()
    view = page.get_by_role("region", name="Comparison of runs")
    expect(view).to_contain_text("Comparing 3 runs.")
    expect(view.get_by_role("table", name="Params by run")).to_contain_text("model")
    expect(view).to_contain_text(re.compile(r"\d same hidden"))
    expect(view.locator(".mlf-compare-curves .scatterlayer .trace").first).to_be_visible(timeout=PLOTLY_MS)
    expect(page).to_have_url(re.compile("compare=1"))
    link = page.url
    assert len(link) <= 300, link
    other = open_page(link.removeprefix(site.address), "ann")
    told = other.get_by_role("region", name="Comparison of runs")
    expect(told.get_by_role("listitem")).to_have_count(3)
    words = view.get_by_role("table", name="Metrics by run").text_content()
    assert words
    expect(told.get_by_role("table", name="Metrics by run")).to_have_text(words)


def test_follow_a_live_run_to_its_end_without_reloading(open_page: Opener, site: Site) -> None:
    log = make_run(site.tracking, "followed", project="live", owner="ann")
    log.points("loss", [1.0, 0.5], gap_us=1_000_000).send()
    page = open_page(f"/r/{log.run.run_id}")
    header = page.locator(".mlf-run-header")
    expect(header).to_contain_text("running")
    expect(header).to_contain_text("loss0.5")
    expect(page.locator("#stamp")).to_contain_text("live")
    log.points("loss", [0.25], first_step=2, gap_us=1_000_000).send()
    expect(header).to_contain_text("loss0.25")
    log.points("accuracy", [0.875], gap_us=1_000_000).send()
    expect(header).to_contain_text("accuracy0.875")
    log.end("FINISHED", 4_000_000).send()
    expect(header).to_contain_text("finished")
    expect(page.locator("#stamp")).to_be_empty()


def test_a_run_of_more_metrics_than_a_page_holds_says_so_and_where_the_others_are(
    open_page: Opener, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlfoundry.panels.limits.SERIES_MOST", 3)
    log = make_run(site.tracking, "wide", project="wide", owner="ann")
    for name in "abcde":
        log.points(name, [1.0, 0.5], gap_us=1_000_000)
    log.send()
    page = open_page(f"/r/{log.run.run_id}")
    rest = page.get_by_role("tabpanel", name="Metrics").locator(".mlf-charts-rest")
    expect(rest).to_have_text(
        "There are charts of the first 3 of 5 metrics, by name. Details has the latest values of all; "
        'run.get_metrics("NAME") reads the points of any.'
    )
    log.points("b", [0.25], first_step=2, gap_us=1_000_000).points("zeta", [0.75], gap_us=1_000_000)
    log.end("FINISHED", 3_000_000).send()
    expect(page.locator(".mlf-run-header")).to_contain_text("finished")
    expect(rest).to_contain_text("the first 3 of 6 metrics")
    page.get_by_role("tab", name="Details").click()
    table = page.get_by_role("tabpanel", name="Details").locator("section", has_text="least").get_by_role("row")
    expect(table).to_have_count(1 + 6)
    expect(table.filter(has_text="zeta")).to_contain_text("0.75")
    expect(page.locator(".mlf-run-header")).to_contain_text("b0.25")


def test_a_collaborator_sees_the_project_appear_and_disappear(open_page: Opener, site: Site) -> None:
    make_run(site.tracking, "first", project="shared", owner="ann").end("FINISHED", 1_000_000).send()
    site.add_user("carl")
    ann = open_page("/p/ann/shared")
    carl = open_page("/", "carl")
    expect(carl.locator("main")).to_contain_text("No projects yet")
    ann.get_by_role("link", name="Collaborators").click()
    ann.get_by_label("User to add").fill("carl")
    ann.get_by_role("button", name="add").click()
    expect(ann.locator(".mlf-people-line")).to_contain_text("carl is in, with READ.")
    carl.reload()
    carl.get_by_role("link", name="Open ann/shared").click()
    expect(carl.locator(".mlf-tr:not([hidden])")).to_contain_text("first")
    carl.get_by_role("link", name="Collaborators").click()
    expect(carl.locator(".mlf-people-foot")).to_contain_text("Your permission here is READ.")
    ann.get_by_role("button", name="Remove carl").click()
    ann.get_by_role("button", name="remove", exact=True).click()
    expect(ann.locator(".mlf-people-line")).to_contain_text("carl was removed.")
    carl.watch.expected.append("404")  # type: ignore[attr-defined]
    carl.goto(f"{site.address}/p/ann/shared")
    expect(carl.locator("main")).to_contain_text("Not here")
    carl.goto(site.address)
    expect(carl.locator("main")).to_contain_text("No projects yet")


def test_make_a_key_use_it_and_revoke_it(open_page: Opener, site: Site) -> None:
    site.add_user("kate")
    page = open_page("/account", "kate")
    page.get_by_label("label of the new key").fill("cluster")
    page.get_by_role("button", name="make a key").click()
    key = page.locator(".dash-new-key code").inner_text()
    assert site.accounts.authenticate(key).user == "kate"
    other = open_page("/login", None)
    other.get_by_label("API key").fill(key)
    other.get_by_role("button", name="log in").click()
    expect(other.locator("main")).to_contain_text("Projects")
    page.get_by_role("button", name="Revoke cluster").click()
    page.get_by_role("button", name="revoke", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="cluster")).to_contain_text("revoked")
    other.watch.expected.append("401")  # type: ignore[attr-defined]
    other.reload()
    expect(other.get_by_role("alert").or_(other.get_by_label("API key")).first).to_be_visible()
    page.reload()
    expect(page.locator("main")).not_to_contain_text(key)


def test_notes_and_tags_are_edited_and_kept(open_page: Opener, site: Site) -> None:
    run = site.runs["cnn-53"]
    page = open_page(f"/r/{run.run_id}?tab=details")
    page.get_by_role("button", name="edit the description").click()
    page.get_by_label("description").fill("the one to beat")
    page.get_by_role("button", name="save").click()
    expect(page.locator(".mlf-description")).to_have_text("the one to beat")
    page.get_by_label("name of a new tag").fill("stage")
    page.get_by_label("value of a new tag").fill("candidate")
    page.get_by_role("button", name="add", exact=True).click()
    expect(page.locator(".mlf-tag")).to_contain_text("candidate")
    stored = site.tracking.get_run("ann", run.run_id)
    assert (stored.description, stored.tags["stage"]) == ("the one to beat", "candidate")
    site.tracking.set_permission("ann", run.project_id, "bob", Permission.READ, new=None)
    reader = open_page(f"/r/{run.run_id}?tab=details", "bob")
    expect(reader.locator(".mlf-description")).to_have_text("the one to beat")
    expect(reader.get_by_role("button", name="edit the description")).to_have_count(0)
    site.tracking.remove_collaborator("ann", run.project_id, "bob")
