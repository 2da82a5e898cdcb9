import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '../../base/errors.ts';
import {
  checkLinks,
  linkedContainers,
  linkEnvironment,
  linkHosts,
  linksWithout,
  renamedLinks,
  shownLinks,
} from './links.ts';
import type { ContainerDirectory, NetworkedContainer } from './networking.ts';

const container = (name: string, Links: string[] = []): NetworkedContainer => ({
  id: `${name}0000000000000000`,
  name,
  config: { Hostname: 'host0', ExposedPorts: { '90/udp': {}, '5432/tcp': {} }, Env: ['PATH=/bin', 'PGDATA=/data'] },
  hostConfig: { Links },
  networks: {},
  directory: '',
});

const directory = (pid: number): ContainerDirectory => ({
  find: (name) => {
    if (name !== 'db') throw new EngineError('not-found', `No such container: ${name}`);
    const endpoints = { bridge: { IPAddress: '172.17.0.5' } };
    return {
      ...container('db'),
      pid,
      attachment: { mode: 'bridge', endpoints, interfaces: {}, ports: {}, sandboxId: '' },
    };
  },
  all: () => [],
  save: () => undefined,
});

test("a link gives a line in hosts and Docker's variables", () => {
  const web = container('web', ['db:my-store']);
  const linked = linkedContainers(web, directory(1));
  assert.deepEqual(linkHosts(linked), [{ address: '172.17.0.5', names: ['my-store', 'host0', 'db'] }]);
  assert.deepEqual(linkEnvironment(web, linked), [
    'MY_STORE_PORT=tcp://172.17.0.5:5432',
    'MY_STORE_PORT_5432_TCP=tcp://172.17.0.5:5432',
    'MY_STORE_PORT_5432_TCP_ADDR=172.17.0.5',
    'MY_STORE_PORT_5432_TCP_PORT=5432',
    'MY_STORE_PORT_5432_TCP_PROTO=tcp',
    'MY_STORE_PORT_90_UDP=udp://172.17.0.5:90',
    'MY_STORE_PORT_90_UDP_ADDR=172.17.0.5',
    'MY_STORE_PORT_90_UDP_PORT=90',
    'MY_STORE_PORT_90_UDP_PROTO=udp',
    'MY_STORE_NAME=/web/my-store',
    'MY_STORE_ENV_PGDATA=/data',
  ]);
});

test('links to what is not there, or does not run', () => {
  assert.throws(() => checkLinks(container('web', ['no:x']), directory(1)), {
    message: 'could not get container for no: No such container: no',
  });
  assert.throws(() => linkedContainers(container('web', ['db']), directory(0)), {
    message: 'Cannot link to a non running container: /db AS /web/db',
  });
  assert.throws(() => checkLinks(container('web', ['a:b:c']), directory(1)), {
    message: 'bad format for links: a:b:c',
  });
  assert.doesNotThrow(() => checkLinks(container('web', ['/db:/web/db']), directory(1)));
});

test('links are shown in full, follow new names, and are taken away', () => {
  const web = container('web', ['db:store', 'cache']);
  assert.deepEqual(shownLinks(web), ['/db:/web/store', '/cache:/web/cache']);
  assert.equal(shownLinks({ ...web, hostConfig: { ...web.hostConfig, NetworkMode: 'own' } }), null);
  assert.deepEqual(renamedLinks(web.hostConfig.Links, 'db', 'db2'), ['db2:store', 'cache:cache']);
  assert.equal(renamedLinks(web.hostConfig.Links, 'web', 'x'), undefined);
  assert.deepEqual(linksWithout(web.hostConfig.Links, 'store'), ['cache']);
  assert.equal(linksWithout(web.hostConfig.Links, 'db'), undefined);
  assert.throws(() => checkLinks(container('web', [':b']), directory(1)), {
    message: 'could not get container for : invalid name or ID supplied: ""',
    code: 'invalid-argument',
  });
});
