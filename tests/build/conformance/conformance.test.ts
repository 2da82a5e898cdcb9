import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Bytes } from '../../../src/content/content-store.ts';
import { errorMessage } from '../../../src/base/errors.ts';
import { Engine } from '../../../src/index.ts';
import { type PrivateRoots, privateRoots } from '../../support/private-engine.ts';
import { BASE, type BuildCase, standsOnBase, writeContext } from './case.ts';
import { CASES } from './cases.ts';
import { type BuildResult, changedFiles, describeConfig, describeFiles, errorClass } from './result.ts';

const EXPECTED = JSON.parse(await readFile(new URL('expected.json', import.meta.url), 'utf8')) as Record<
  string,
  BuildResult
>;

describe('Dockerfiles give what BuildKit makes of them', { concurrency: 4 }, () => {
  let roots: PrivateRoots;
  let engine: Engine;
  let base: ReadonlyMap<string, string>;

  before(async () => {
    roots = await privateRoots();
    engine = await Engine.open(roots.options);
    await engine.images.pull('busybox', {});
    await engine.images.tag('busybox', BASE);
    base = await rootFiles(engine, BASE);
  });

  after(async () => {
    await engine.close();
    await roots.discard();
  });

  for (const [name, one] of Object.entries(CASES)) {
    test(name, async () => {
      const expected = EXPECTED[name];
      assert.ok(expected, 'not recorded: run record.ts');
      const found = await build(engine, one, base);
      if (one.difference) assert.equal(found.error, one.difference.error);
      else assert.deepEqual(found, expected);
    });
  }
});

async function build(engine: Engine, one: BuildCase, base: ReadonlyMap<string, string>): Promise<BuildResult> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-conformance-'));
  let id: string;
  try {
    await writeContext(directory, one);
    const context = execFileSync('tar', ['-C', directory, '-c', '--owner=7', '--group=8', '.']);
    ({ id } = await engine.builder.build(bytes(context), {
      ...(one.args && { buildArgs: one.args }),
      ...(one.labels && { labels: one.labels }),
      ...(one.target !== undefined && { target: one.target }),
    }));
  } catch (error) {
    return { error: errorClass(errorMessage(error)) };
  } finally {
    await rm(directory, { recursive: true });
  }
  const { Config } = await engine.images.inspect(id);
  const files = await rootFiles(engine, id);
  return {
    files: changedFiles(files, standsOnBase(one) ? base : new Map()),
    config: describeConfig(Config ?? {}),
  };
}

async function rootFiles(engine: Engine, image: string): Promise<Map<string, string>> {
  const { Id } = await engine.containers.create({ Image: image, Cmd: ['x'] });
  try {
    return await describeFiles(await engine.containers.export(Id));
  } finally {
    await engine.containers.remove(Id, { force: true, volumes: true });
  }
}

async function* bytes(content: Uint8Array): Bytes {
  yield content;
}
