"""A run whose facts hold what nobody can show is shown all the same, without them, and so is all around it."""

import pytest

import mlfoundry
from tests.dashboard.site import Site

ODD = {"deep": "[" * 5000, "NaN": '{"n": NaN}', "infinite": '{"wall_s": 1e999}', "half a pair": '{"status": "\\ud800"}'}


@pytest.fixture(scope="module")
def odd(site: Site) -> dict[str, str]:
    """The path of a run for each of `ODD`, which its owner's colleague could have logged as well."""
    paths = {}
    with mlfoundry.get_client(site.address, api_key=site.add_user("odd")) as client:
        for name, text in ODD.items():
            with client.create_run("odd", name, log_system_metrics=False) as run:
                run.log_facts({"cell.0001": text, "cell.0002": '{"wall_s": 2.0}', "cell.0002.source": "fit(model)"})
            paths[name] = run.run_id
    return paths


@pytest.mark.parametrize("name", ODD)
def test_the_page_of_a_run_with_an_odd_cell_and_all_that_it_asks_for_answer(
    site: Site, odd: dict[str, str], name: str
) -> None:
    page = site.ask("GET", f"/r/{odd[name]}", "odd", headers={"Accept": "text/html"})
    assert page.status_code == 200
    with mlfoundry.get_client(site.address, api_key=site.keys["odd"]) as client:
        project = client.get_run(odd[name]).record.key.project_id
    place = f"/dashboard/projects/{project}"
    code = site.ask("GET", f"{place}/runs/{odd[name]}/code", "odd")
    assert (code.status_code, "fit(model)" in code.text) == (200, True)
    news = site.ask("POST", f"{place}/runs/{odd[name]}/news", "odd", json={})
    details = site.ask("POST", f"{place}/details", "odd", json={"runs": [odd[name]]})
    assert (news.status_code, details.status_code) == (200, 200)
