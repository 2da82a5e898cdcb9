/** Caches that go to a registry and come back on another engine; images that serve as caches, and those that only claim to. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bytesOf } from '../../src/content/bytes.ts';
import { tarHeader } from '../../src/content/tar/header.ts';
import { writeTar } from '../../src/content/tar/writer.ts';
import { sha256 } from '../../src/oci/digest.ts';
import type { BuildRequest } from '../../src/engine/engine.ts';
import { Engine } from '../../src/index.ts';
import { type PrivateRoots, privateRoots } from '../support/private-engine.ts';
import { TestRegistry } from '../registry/test-registry.ts';

async function tarOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<Buffer> {
  const entries = Object.entries(files).map(([name, text]) => {
    const body = Buffer.from(text as string);
    return { header: tarHeader({ type: 'file', name, size: body.byteLength }), body: [body] };
  });
  return Buffer.concat(await Array.fromAsync(writeTar(entries)));
}

type Files = Readonly<Record<string, string>>;

const APP: Files = {
  Dockerfile: `FROM busybox AS tool
RUN echo tool >/tool
FROM busybox
ENV A=1
COPY a.txt /
RUN echo one >/one
COPY --from=tool /tool /
RUN cat /tool /a.txt >/two
`,
  'a.txt': 'content',
};

describe('caches of builds on other engines', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  let registry: TestRegistry;
  const engines: { readonly engine: Engine; readonly roots: PrivateRoots }[] = [];
  before(async () => {
    registry = await TestRegistry.open();
    for (let index = 0; index < 2; index++) {
      const roots = await privateRoots();
      const engine = await Engine.open(roots.options);
      engines.push({ engine, roots });
      await engine.images.pull('busybox', {});
    }
  });
  after(async () => {
    for (const { engine } of engines) await engine.close();
    await registry[Symbol.asyncDispose]();
    for (const { roots } of engines) await roots.discard();
  });

  const build = async (
    which: 0 | 1,
    files: Files,
    request: BuildRequest = {},
  ): Promise<{ id: string; log: string; ran: string[] }> => {
    const entries = Object.entries(files).map(([name, text]) => ({
      header: tarHeader({ type: 'file', name, size: Buffer.byteLength(text), mode: 0o644 }),
      body: [Buffer.from(text)],
    }));
    let log = '';
    const onProgress = ({ stream }: { readonly stream?: string }): void => void (log += stream ?? '');
    const { id } = await engines[which]!.engine.builder.build(writeTar(entries), request, { onProgress });
    const ran = log
      .split(/^(?=Step )/m)
      .filter((step) => /^Step \d+\/\d+ : (RUN|COPY|ADD)/.test(step) && !step.includes('Using cache'))
      .map((step) => /^Step \S+ : (.*)/.exec(step)![1]!);
    return { id, log, ran };
  };
  /** Takes all that a build left, so that the next one starts from nothing. */
  const forget = async (which: 0 | 1): Promise<void> => {
    const { engine } = engines[which]!;
    for (const { Id, RepoTags } of await engine.images.list())
      if (!RepoTags.includes('busybox:latest')) await engine.images.remove(Id, { force: true });
    await engine.builder.prune({ all: true });
  };

  test('two data roots give the same image', async () => {
    const [here, there] = [await build(0, APP), await build(1, APP)];
    assert.equal(here.id, there.id);
    await forget(0);
    assert.equal((await build(0, APP)).id, here.id);
    await forget(0);
    await forget(1);
  });

  test('a registry: mode max has every step, mode min those of the result', async () => {
    const ref = `${registry.host}/cache/app`;
    const { id } = await build(0, APP, {
      cacheTo: [`type=registry,ref=${ref}:max,mode=max`, `type=registry,ref=${ref}:min`],
    });
    const all = await build(1, APP, { cacheFrom: [`type=registry,ref=${ref}:max`] });
    assert.deepEqual([all.ran, all.id], [[], id]);
    await forget(1);
    const some = await build(1, APP, { cacheFrom: [`type=registry,ref=${ref}:min`] });
    assert.deepEqual([some.ran, some.id], [['RUN echo tool >/tool'], id]);
    await forget(1);
    const changed = { ...APP, 'a.txt': 'other' };
    const rest = await build(1, changed, { cacheFrom: [`type=registry,ref=${ref}:max`], explain: true });
    assert.deepEqual(rest.ran.length, 4, rest.log);
    await forget(1);
    const absent = await build(1, APP, {
      cacheFrom: [`type=registry,ref=${ref}:none`, 'type=registry,ref=127.0.0.1:1/x'],
    });
    assert.equal(absent.ran.length, 5);
    assert.match(absent.log, /\[Warning\] cache 127\.0\.0\.1:1\/x is left out: /);
    await forget(0);
    await forget(1);
  });

  test('inline: the image that is pushed is its own cache', async () => {
    const name = `${registry.host}/inline/app:1`;
    const outputs = [{ type: 'registry', attributes: {} }];
    const { id } = await build(0, APP, { tags: [name], outputs, cacheTo: ['type=inline'] });
    const again = await build(1, APP, { cacheFrom: [`type=registry,ref=${name}`], cacheTo: ['type=inline'] });
    assert.deepEqual([again.ran, again.id], [['RUN echo tool >/tool'], id]);
    await forget(0);
    await forget(1);
  });

  test('bases of several platforms: each is pulled, and the name stays that of this machine', async () => {
    const name = `${registry.host}/base/multi:1`;
    const base = { Dockerfile: 'FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY a.txt /\n', 'a.txt': 'a' };
    const platform = 'linux/amd64,linux/arm64,linux/s390x';
    await build(0, base, { platform, tags: [name], outputs: [{ type: 'registry', attributes: {} }] });
    const { engine } = engines[1]!;
    const top = { Dockerfile: `FROM ${name}\nCOPY a.txt /b.txt\n`, 'a.txt': 'b' };
    await build(1, top, { platform: 'linux/s390x,linux/amd64,linux/arm64', tags: ['top:1'] });
    const archOf = async (image: string, wanted?: string): Promise<string> => {
      const found = await engine.images.inspect(image, wanted === undefined ? {} : { platform: wanted });
      return `${found.Architecture} ${found.Config?.Env?.find((line) => line.startsWith('ARCH='))}`;
    };
    const own = process.arch === 'x64' ? 'amd64' : process.arch;
    for (const image of [name, 'top:1']) {
      assert.equal(await archOf(image), `${own} ARCH=${own}`);
      assert.equal(await archOf(image, 'linux/s390x'), 's390x ARCH=s390x');
    }
    assert.equal((await engine.images.list()).length, 3, 'busybox, the base and the top');
    await forget(0);
    await forget(1);
    assert.equal((await engine.images.list({ all: true })).length, 1);
  });

  test('an image that is here serves by its history', async () => {
    const name = `${registry.host}/plain/app:1`;
    const { id } = await build(0, APP, { tags: [name], outputs: [{ type: 'registry', attributes: {} }] });
    await engines[1]!.engine.images.pull(name, {});
    const again = await build(1, APP, { cacheFrom: [name] });
    // Files are copied, and what comes of it is what the image has: so its commands stand for ours.
    assert.deepEqual(again.ran, ['RUN echo tool >/tool', 'COPY a.txt /', 'COPY --from=tool /tool /']);
    assert.equal(again.id, id);
    const { Dockerfile, ...files } = APP;
    const other = { ...files, Dockerfile: Dockerfile!.replace('A=1', 'A=2') };
    await engines[1]!.engine.builder.prune({ all: true });
    const changed = await build(1, other, { cacheFrom: [name] });
    assert.equal(changed.ran.length, 5, 'another environment before it is another command');
    await forget(0);
    await forget(1);
  });

  test('an image that only claims to have been built so is no cache', async () => {
    const { engine } = engines[0]!;
    const honest = await build(0, { Dockerfile: 'FROM busybox\nRUN echo honest >/f' }, { tags: ['honest'] });
    const base = await engine.images.history('busybox');
    const history = await engine.images.history('honest');
    const layers = ['base', 'evil'].map((text) => Buffer.from(text.padEnd(1024, '\0')));
    const tars = await Promise.all(layers.map((body) => tarOf({ f: body.toString() })));
    const config = {
      architecture: 'amd64',
      os: 'linux',
      parent: honest.id,
      rootfs: { type: 'layers', diff_ids: tars.map(sha256) },
      history: history.toReversed().map(({ CreatedBy }, index) => ({
        created_by: CreatedBy,
        ...(index < history.length - base.length && { comment: 'as busybox says' }),
      })),
    };
    assert.equal(config.history.length, 2);
    const document = JSON.stringify(config);
    const manifest = [{ Config: 'c.json', RepoTags: ['evil:latest'], Layers: ['0.tar', '1.tar'] }];
    const archive = {
      'manifest.json': JSON.stringify(manifest),
      'c.json': document,
      '0.tar': tars[0]!,
      '1.tar': tars[1]!,
    };
    await engine.images.load(bytesOf(await tarOf(archive)));
    await engine.images.remove('honest', { force: true });
    await engine.builder.prune({ all: true });
    const again = await build(0, { Dockerfile: 'FROM busybox\nRUN echo honest >/f' }, { cacheFrom: ['evil'] });
    assert.deepEqual(again.ran, ['RUN echo honest >/f']);
    assert.equal(again.id, honest.id);
    await forget(0);
  });
});
