/** crun makes a container's standard streams its user's own: the host's /dev/null is not among them. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { withEngine } from '../support/private-engine.ts';

const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' };

test('the host’s /dev/null stays root’s, whoever a container runs as', asRoot, () =>
  withEngine(async (engine) => {
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['id', '-u'],
      User: '61234:61235',
      HostConfig: { NetworkMode: 'none' },
    });
    const exit = await engine.containers.wait(Id, 'next-exit');
    await engine.containers.start(Id);
    assert.equal((await exit.outcome).exitCode, 0);
    assert.notEqual(statSync('/dev/null').uid, 61_234);
    assert.notEqual(statSync('/dev/null').gid, 61_235);
  }),
);
