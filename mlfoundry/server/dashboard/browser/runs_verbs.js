// What the views of a project's runs may ask.

import { request } from "./http.js";

const PAGE = 200;

/** The questions of a runs table and of a comparison. */
export function runsVerbs(project) {
  const place = `/dashboard/projects/${project.project_id}`;
  const run = (id) => `/api/v1/projects/${project.project_id}/runs/${id}`;
  const again = async (ids) => {
    const { runs } = await request("POST", `${place}/details`, { body: { runs: ids } });
    return runs;
  };
  return {
    page: ({ filter, order_by: order, offset, count = PAGE }) =>
      request("GET", `${place}/runs`, { query: { filter, order_by: order, offset, count } }),
    search: ({ filter }) => request("GET", `${place}/search`, { query: { filter } }),
    series: ({ runs, names, max_points: points }) =>
      request("POST", `${place}/series`, { body: { runs, names: names ?? null, max_points: points ?? null } }),
    runs_detail: ({ runs }) => again(runs),
    set_tags: async ({ run: id, tags }) => {
      await request("PATCH", run(id), { body: { tags } });
      return [id];
    },
    set_description: async ({ run: id, text }) => {
      await request("PATCH", run(id), { body: { description: text } });
      return [id];
    },
    delete: async ({ runs }) => {
      for (const id of runs) await request("DELETE", run(id));
      return runs;
    },
    restore: async ({ runs }) => {
      for (const id of runs) await request("POST", `${run(id)}/restore`);
      return runs;
    },

  };
}
