// The page of projects.

import { mountProjects } from "../panels/projects_view.js";
import { address, request } from "./http.js";
import { HttpSource, inMemory, takeOver, viewPlace } from "./source.js";
import { Pulse } from "./pulse.js";

const link = ({ owner, name }) => address(`/p/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`);
let known = [];

const verbs = {
  list: async () => {
    const { projects } = await request("GET", "/dashboard/projects");
    known = projects;
    takeOver();
    return projects;
  },
  open: async (project) => location.assign(link(project)),
};
const source = new HttpSource({ state: inMemory(), verbs, link });
mountProjects(viewPlace(), source);

new Pulse({
  ask: async () => {
    const { projects } = await request("GET", "/dashboard/projects");
    known = projects;
    source.tell({ header: { kind: "projects", projects } });
  },
  isLive: () => !known.length || known.some((project) => project.running_count > 0),
});
