import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { Bytes } from '../../../src/content/content-store.ts';
import { errorMessage } from '../../../src/base/errors.ts';
import type { ClientOutput } from '../../../src/engine/builder/outputs/deliver.ts';
import type { BuildRequest } from '../../../src/engine/engine.ts';
import { Engine } from '../../../src/index.ts';
import { type PrivateRoots, privateRoots } from '../../support/private-engine.ts';
import { BASE, type BuildCase, contextArchive, standsOnBase } from './case.ts';
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
    ({ files: base } = await buildWithFiles(engine, Buffer.alloc(1024), { dockerfileText: `FROM ${BASE}` }));
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
  try {
    const { id, files } = await buildWithFiles(engine, await contextArchive(one), {
      ...(one.args && { buildArgs: one.args }),
      ...(one.labels && { labels: one.labels }),
      ...(one.target !== undefined && { target: one.target }),
    });
    const { Config } = await engine.images.inspect(id);
    return {
      files: changedFiles(files, standsOnBase(one) ? base : new Map()),
      config: describeConfig(Config ?? {}),
    };
  } catch (error) {
    return { error: errorClass(errorMessage(error)) };
  }
}

/** An image in the store, and its files as the build gives them out beside it: a container for each would take longer than the builds. */
async function buildWithFiles(
  engine: Engine,
  context: Uint8Array,
  request: BuildRequest,
): Promise<{ readonly id: string; readonly files: Map<string, string> }> {
  let files = new Map<string, string>();
  const outputs = ['image', 'tar'].map((type) => ({ type, attributes: {} }));
  const onOutput = async ({ open }: ClientOutput): Promise<void> => void (files = await describeFiles(open()));
  const { id } = await engine.builder.build(bytes(context), { ...request, outputs }, { onOutput });
  return { id, files };
}

async function* bytes(content: Uint8Array): Bytes {
  yield content;
}
