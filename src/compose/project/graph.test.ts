import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadProject } from '../model/load.ts';
import { graphText } from './graph.ts';
import { projectOf } from './project.ts';

test('graphText() draws services and dependencies as docker compose alpha viz does', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'gantry-graph-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(
    join(cwd, 'compose.yaml'),
    `name: shop
services:
  db: {image: "postgres:16", ports: ["5432:5432", "127.0.0.1:9000-9001:9000-9001/udp", "80"], networks: [back]}
  app: {build: ., depends_on: [db], networks: {back: , front: {priority: 3}}, expose: [8080]}
  web: {image: nginx, depends_on: {app: {condition: service_healthy}}, network_mode: host}
networks: {back: {name: other}, front: {external: true}}
`,
  );
  const project = projectOf(loadProject({ files: [], envFiles: [], profiles: [], cwd, env: {}, warn: () => {} }));
  assert.equal(
    graphText(project, { networks: false, ports: false, image: false, indent: '\t' }),
    `digraph "shop" {
\tlayout=dot;
\t"db" [style="filled" label=<<font point-size="15">db</font>>];
\t"app" [style="filled" label=<<font point-size="15">app</font>>];
\t"web" [style="filled" label=<<font point-size="15">web</font>>];

\t"app" -> "db";
\t"web" -> "app";
}
`,
  );
  assert.equal(
    graphText(project, { networks: true, ports: true, image: true, indent: '' }),
    `digraph "shop" {
layout=dot;
"db" [style="filled" label=<<font point-size="15">db</font><font point-size="10"><br/><br/><b>Networks:</b><br/>back</font><font point-size="10"><br/><br/><b>Ports:</b><br/>5432:5432 (tcp, ingress)<br/>127.0.0.1:9000:9000 (udp, ingress)<br/>127.0.0.1:9001:9001 (udp, ingress)<br/>:80 (tcp, ingress)</font><font point-size="10"><br/><br/><b>Image:</b><br/>postgres:16</font>>];
"app" [style="filled" label=<<font point-size="15">app</font><font point-size="10"><br/><br/><b>Networks:</b><br/>front<br/>back</font><font point-size="10"><br/><br/><b>Image:</b><br/>shop-app</font>>];
"web" [style="filled" label=<<font point-size="15">web</font><font point-size="10"><br/><br/><b>Image:</b><br/>nginx</font>>];

"app" -> "db";
"web" -> "app";
}
`,
  );
});
