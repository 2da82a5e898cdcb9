/** Where a build's result goes: the real command line, daemon and registry. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client } from '../../src/client/client.ts';
import { hostX86Level } from '../../src/linux/cpu-level.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { TestRegistry } from '../registry/test-registry.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-outputs-'));

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Record<string, string>;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

describe('build --output', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory: join(directory, 'engine') });
  let registry: TestRegistry;
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const context = join(directory, 'context');
  const build = async (...words: string[]): Promise<Ended> => {
    const ended = await gantry('build', ...words, context);
    assert.equal(ended.code, 0, ended.stderr + ended.stdout);
    return ended;
  };
  const document = async (repository: string, reference: string): Promise<Record<string, unknown>> => {
    const types = ['index', 'manifest'].map((kind) => `application/vnd.oci.image.${kind}.v1+json`);
    const accept = [...types, 'application/vnd.docker.distribution.manifest.v2+json'].join(', ');
    const url = `http://${registry.host}/v2/${repository}/manifests/${reference}`;
    const response = await fetch(url, { headers: { accept } });
    assert.equal(response.status, 200, url);
    return (await response.json()) as Record<string, unknown>;
  };

  before(async () => {
    fs.mkdirSync(join(context, 'sub'), { recursive: true });
    fs.writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY a.txt sub /\nCMD ["/a.txt"]\n');
    fs.writeFileSync(join(context, 'a.txt'), 'content');
    fs.writeFileSync(join(context, 'sub/b.txt'), 'more');
    registry = await TestRegistry.open();
    await daemon.start();
  });
  after(async () => {
    await daemon.stop();
    await registry[Symbol.asyncDispose]();
    await nothingLeft(daemon, directory);
  });

  test('files into a directory and a tar: no image is made', async () => {
    const folder = join(directory, 'files');
    await build('-o', folder);
    assert.deepEqual(fs.readdirSync(folder).sort(), ['a.txt', 'b.txt']);
    assert.equal(fs.readFileSync(join(folder, 'b.txt'), 'utf8'), 'more');
    const tar = join(directory, 'files.tar');
    await build('-o', `type=tar,dest=${tar}`);
    assert.equal(execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }), 'a.txt\nb.txt\n');
    const piped = await build('-o', '-');
    assert.ok(piped.stdout.includes('ustar') && piped.stdout.includes('content'));
    assert.match(piped.stderr, /^Step 1\/3/);
    assert.equal((await gantry('images', '-q')).stdout, '');
  });

  const level = hostX86Level();
  test(
    'for a variant of this machine, which its processor has',
    { skip: level < 2 && 'for an x86-64-v2' },
    async () => {
      assert.equal((await gantry('pull', 'busybox')).code, 0);
      const own = join(directory, 'variant');
      fs.mkdirSync(own);
      fs.writeFileSync(
        join(own, 'Dockerfile'),
        'FROM busybox\nARG TARGETPLATFORM TARGETVARIANT\nRUN echo "$TARGETPLATFORM $TARGETVARIANT" >/for\n',
      );
      const built = await gantry('build', '-t', 'variant', '--platform', 'linux/amd64/v2', own);
      assert.equal(built.code, 0, built.stderr);
      const shown = await gantry('image', 'inspect', '-f', '{{.Architecture}} {{.Variant}}', 'variant');
      assert.equal(shown.stdout, 'amd64 v2\n');
      const ran = await gantry('run', '--rm', '--network', 'none', 'variant', 'cat', '/for');
      assert.equal(ran.stdout, 'linux/amd64/v2 v2\n', ran.stderr);
      const refused = await gantry('build', '--platform', 'linux/amd64/v9', own);
      assert.equal(refused.code, 1);
      assert.match(
        refused.stderr,
        /RUN for linux\/amd64\/v9 is not possible.*its processor runs linux\/amd64, linux\/amd64\/v2/,
      );
      assert.equal((await gantry('rmi', 'variant', 'busybox')).code, 0);
    },
  );

  test('archives: docker, which load takes, and an OCI layout, also as a directory', async () => {
    const tar = join(directory, 'docker.tar');
    await build('-t', 'app:1', '-o', `type=docker,dest=${tar}`);
    assert.equal((await gantry('images', '-q')).stdout, '');
    assert.match((await gantry('load', '-i', tar)).stdout, /Loaded image: app:1\n/);
    assert.match((await gantry('images')).stdout, /app +1 /);
    await gantry('rmi', 'app:1');

    const layout = join(directory, 'layout');
    const metadata = join(directory, 'metadata.json');
    await build(
      '-t',
      'app:1',
      '-o',
      `type=oci,dest=${layout},tar=false,compression=zstd,force-compression=true`,
      '--metadata-file',
      metadata,
    );
    const index = JSON.parse(fs.readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
    assert.equal(index.manifests[0]!.annotations?.['io.containerd.image.name'], 'docker.io/library/app:1');
    const written = JSON.parse(fs.readFileSync(metadata, 'utf8')) as Record<string, unknown>;
    assert.equal(written['containerimage.digest'], index.manifests[0]!.digest);
    assert.equal(written['image.name'], 'docker.io/library/app:1');
    const blob = (digest: string): string => join(layout, 'blobs/sha256', digest.slice(7));
    const manifest = JSON.parse(fs.readFileSync(blob(index.manifests[0]!.digest), 'utf8')) as { layers: Descriptor[] };
    assert.deepEqual(
      manifest.layers.map(({ mediaType }) => mediaType),
      ['application/vnd.oci.image.layer.v1.tar+zstd'],
    );
    assert.equal(fs.readFileSync(blob(manifest.layers[0]!.digest)).readUInt32LE(), 0xfd2fb528);
  });

  test('mode=delete removes from a directory what is not of the result, there alone', async () => {
    const folder = join(directory, 'mirror');
    const outside = join(directory, 'outside');
    fs.mkdirSync(join(folder, 'old/deep'), { recursive: true });
    fs.mkdirSync(join(folder, 'a.txt/in the way'), { recursive: true });
    fs.mkdirSync(outside);
    fs.writeFileSync(join(outside, 'stays'), '');
    fs.symlinkSync(outside, join(folder, 'link'));
    fs.symlinkSync(join(outside, 'stays'), join(folder, 'b.txt'));
    const copied = await gantry('build', '-o', `type=local,dest=${folder}`, context);
    assert.match(copied.stderr, /cannot overwrite directory .*a\.txt with non-directory/);
    const text = 'FROM scratch\nCOPY . /link/\nCOPY a.txt sub /\n';
    fs.writeFileSync(join(context, 'linked.Dockerfile'), text);
    await build('-f', join(context, 'linked.Dockerfile'), '-o', `type=local,dest=${folder},mode=delete`);
    assert.deepEqual(fs.readdirSync(folder).sort(), ['a.txt', 'b.txt', 'link']);
    assert.ok(fs.lstatSync(join(folder, 'link')).isDirectory());
    assert.ok(fs.lstatSync(join(folder, 'b.txt')).isFile());
    fs.rmSync(join(folder, 'link'), { recursive: true });
    fs.symlinkSync(outside, join(folder, 'link'));
    fs.rmSync(join(context, 'linked.Dockerfile'));
    await build('-o', `type=local,dest=${folder},mode=delete`);
    assert.deepEqual(fs.readdirSync(folder).sort(), ['a.txt', 'b.txt']);
    assert.deepEqual(fs.readdirSync(outside), ['stays']);
    for (const dest of [context, directory, '/', process.cwd()]) {
      const refused = await gantry('build', '-o', `type=local,dest=${dest},mode=delete`, context);
      assert.match(refused.stderr, /mode=delete would remove what is in .*: name a directory of its own/);
    }
    assert.ok(fs.existsSync(join(context, 'a.txt')));
  });

  test("--sbom and --provenance: statements beside the image, in BuildKit's layout", async () => {
    const folder = join(directory, 'attested');
    fs.mkdirSync(join(folder, 'node_modules/left'), { recursive: true });
    fs.writeFileSync(
      join(folder, 'node_modules/left/package.json'),
      '{"name":"left","version":"1.2.3","license":"MIT"}',
    );
    fs.writeFileSync(
      join(folder, 'Dockerfile'),
      'FROM scratch\nARG API_TOKEN\nARG MODE\nCOPY node_modules /app/node_modules\n',
    );
    const name = `${registry.host}/team/attested`;
    const words = ['--sbom', '--provenance=mode=max', '--build-arg', 'API_TOKEN=s3cret', '--build-arg', 'MODE=fast'];
    const built = await gantry('build', ...words, '-t', `${name}:1`, '--push', folder);
    assert.equal(built.code, 0, built.stderr);
    const digest = /Pushed \S+: digest: (sha256:\S+)/.exec(built.stdout)![1]!;
    const index = await document('team/attested', '1');
    const [image, statement] = index['manifests'] as Descriptor[];
    assert.equal(image!.platform?.os, 'linux');
    assert.deepEqual(statement!.platform, { architecture: 'unknown', os: 'unknown' });
    assert.deepEqual(statement!.annotations, {
      'vnd.docker.reference.digest': image!.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    });
    const { layers } = (await document('team/attested', statement!.digest)) as unknown as { layers: Descriptor[] };
    const read = async (layer: Descriptor): Promise<{ subject: unknown; predicate: Record<string, unknown> }> =>
      (await (await fetch(`http://${registry.host}/v2/team/attested/blobs/${layer.digest}`)).json()) as never;
    assert.deepEqual(
      layers.map((layer) => layer.annotations?.['in-toto.io/predicate-type']),
      ['https://spdx.dev/Document', 'https://slsa.dev/provenance/v1'],
    );
    const [sbom, made] = await Promise.all(layers.map(read));
    const packages = sbom!.predicate['packages'] as { name: string; versionInfo: string }[];
    assert.ok(packages.some((found) => found.name === 'left' && found.versionInfo === '1.2.3'));
    assert.deepEqual((made!.subject as { digest: unknown }[])[0]!.digest, { sha256: image!.digest.slice(7) });
    const text = JSON.stringify(made!.predicate);
    assert.ok(text.includes('"build-arg:MODE":"fast"') && text.includes('"build-arg:API_TOKEN":"(hidden)"'));
    assert.ok(!text.includes('s3cret'));

    // The same build says the same; and what is kept under the name is all of it.
    const again = await gantry('build', ...words, '--no-cache', '-t', `${name}:1`, '--push', folder);
    assert.equal(/Pushed \S+: digest: (sha256:\S+)/.exec(again.stdout)![1], digest);
    await gantry('tag', `${name}:1`, `${name}:2`);
    assert.match((await gantry('push', `${name}:2`)).stdout, new RegExp(`2: digest: ${digest} `));
    const least = await gantry(
      'build',
      '--provenance=mode=min,version=v0.2',
      '--build-arg',
      'MODE=x',
      '-t',
      'least',
      folder,
    );
    assert.equal(least.code, 0, least.stderr);
    await gantry('rmi', `${name}:1`, `${name}:2`, 'least');

    const artifact = `type=registry,name=${name}:3,oci-artifact=true`;
    const listed = await gantry('build', ...words, '-o', artifact, folder);
    assert.equal(listed.code, 0, listed.stderr);
    const [subject, own] = (await document('team/attested', '3'))['manifests'] as Descriptor[];
    const { layers: statements, ...manifest } = await document('team/attested', own!.digest);
    const { mediaType, size } = subject as Descriptor & { readonly size: number };
    assert.deepEqual(manifest, {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.empty.v1+json',
        digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
        size: 2,
      },
      subject: { mediaType, digest: subject!.digest, size },
    });
    assert.equal((statements as unknown[]).length, 2);
    await gantry('rmi', `${name}:3`);
    assert.equal((await gantry('pull', `${name}:3`)).code, 0);
    await gantry('rmi', `${name}:3`);
    const refused = await gantry('build', '--attest', 'type=sbom,generator=x', folder);
    assert.match(refused.stderr, /a generator image is not supported/);
  });

  test('several tags, labels, the image id in a file; --load beside', async () => {
    const file = join(directory, 'iid');
    await build('-t', 'app:1', '-t', 'other:2', '--label', 'a=b', '--iidfile', file, '--load');
    const { stdout } = await gantry('inspect', '-f', '{{.Id}} {{.Config.Labels.a}} {{.RepoTags}}', 'other:2');
    assert.equal(stdout, `${fs.readFileSync(file, 'utf8')} b [app:1 other:2]\n`);
    await gantry('rmi', 'app:1', 'other:2');
  });

  test('--push; compression, annotations and media types of what is pushed', async () => {
    const name = `${registry.host}/team/app`;
    const pushed = await build('-t', `${name}:1`, '--push', '--annotation', 'org.example.note=hello');
    const digest = /Pushed \S+: digest: (sha256:\S+)/.exec(pushed.stdout)![1]!;
    const manifest = await document('team/app', '1');
    assert.deepEqual(manifest['annotations'], { 'org.example.note': 'hello' });
    assert.deepEqual(await document('team/app', digest), manifest);
    // What was annotated is what a later push of the same name sends.
    await gantry('tag', `${name}:1`, `${name}:again`);
    assert.match((await gantry('push', `${name}:again`)).stdout, new RegExp(`again: digest: ${digest} `));
    await gantry('rmi', `${name}:1`, `${name}:again`);

    await build(
      '-o',
      `type=registry,name=${name}:2,compression=uncompressed,force-compression=true,oci-mediatypes=false,store=false`,
    );
    const plain = await document('team/app', '2');
    assert.equal(plain['mediaType'], 'application/vnd.docker.distribution.manifest.v2+json');
    assert.deepEqual(
      (plain['layers'] as Descriptor[]).map(({ mediaType }) => mediaType),
      ['application/vnd.docker.image.rootfs.diff.tar'],
    );
    assert.equal((await gantry('images', '-q')).stdout, '');

    await build('-t', `${name}:3`, '--push', '--annotation', 'index,manifest:k=v');
    const index = await document('team/app', '3');
    assert.deepEqual(index['annotations'], { k: 'v' });
    const [child] = index['manifests'] as Descriptor[];
    assert.deepEqual((await document('team/app', child!.digest))['annotations'], { k: 'v' });
    await gantry('rmi', `${name}:3`);
  });

  test('a cache in a directory of the client', async () => {
    await daemon.importBusybox();
    const dockerfile = join(directory, 'Dockerfile.cached');
    const lines = [
      'FROM busybox AS tool',
      'RUN echo tool >/tool',
      'FROM busybox',
      'COPY --from=tool /tool /',
      'RUN echo a >/a',
    ];
    fs.writeFileSync(dockerfile, lines.join('\n'));
    const place = join(directory, 'cache');
    const forget = async (): Promise<void> => {
      await gantry('rmi', '-f', fs.readFileSync(join(directory, 'a'), 'utf8'));
      await gantry('builder', 'prune', '-af');
    };
    const cached = (ended: Ended): number => ended.stdout.split('---> Using cache').length - 1;
    const args = ['-f', dockerfile, '--network', 'none'];
    const first = await build(
      ...args,
      '--cache-to',
      `type=local,dest=${place},mode=max`,
      '--iidfile',
      join(directory, 'a'),
    );
    assert.match(first.stdout, /Exported cache to a directory/);
    assert.equal(JSON.parse(fs.readFileSync(join(place, 'index.json'), 'utf8')).manifests.length, 1);
    await forget();
    const again = await build(...args, '--cache-from', `type=local,src=${place}`, '--iidfile', join(directory, 'b'));
    assert.equal(cached(again), 3, again.stdout);
    assert.equal(fs.readFileSync(join(directory, 'b'), 'utf8'), fs.readFileSync(join(directory, 'a'), 'utf8'));

    // A blob that is not what its name says is not believed: the step is run.
    await forget();
    const blobs = join(place, 'blobs/sha256');
    for (const name of fs.readdirSync(blobs)) {
      const bytes = fs.readFileSync(join(blobs, name));
      if (bytes[0] === 0x1f)
        fs.writeFileSync(
          join(blobs, name),
          bytes.map((byte, at) => (at === 20 ? ~byte : byte)),
        );
    }
    const poisoned = await build(...args, '--cache-from', `type=local,src=${place}`);
    // The copy gives the layer that the command before it has just made.
    assert.equal(cached(poisoned), 1, poisoned.stdout);
    assert.equal(poisoned.stdout.split('[Warning] cache local cache: content is ').length, 3, poisoned.stdout);
    const none = await build(...args, '--no-cache', '--cache-from', `type=local,src=${join(directory, 'nothing')}`);
    assert.equal(cached(none), 0);
  });

  test('cache mounts are listed, exported, imported and removed', async () => {
    const dockerfile = join(directory, 'Dockerfile.mounts');
    const script = 'RUN --mount=type=cache,id=kept,target=/c';
    fs.writeFileSync(dockerfile, `FROM busybox\n${script} echo one >/c/f; chown 5:6 /c/f; chmod 640 /c/f\n`);
    await build('-f', dockerfile, '--network', 'none');
    const listed = await gantry('builder', 'cache', 'ls');
    assert.match(listed.stdout, /^ID +SIZE +IN USE\nkept +4B +false\n$/);
    assert.match((await gantry('builder', 'du')).stdout, /Total:\t\t\d/);
    const file = join(directory, 'kept.tar');
    assert.equal((await gantry('builder', 'cache', 'export', '-o', file, 'kept')).code, 0);
    assert.equal((await gantry('builder', 'cache', 'rm', 'kept')).stdout, 'kept\n');
    assert.equal((await gantry('builder', 'cache', 'ls', '-q')).stdout, '');
    assert.equal((await gantry('builder', 'cache', 'import', 'kept', file)).stdout, 'kept\n');
    const read = `FROM busybox\n${script} stat -c '%u:%g:%a' /c/f; cat /c/f\n`;
    fs.writeFileSync(dockerfile, read);
    assert.match((await build('-f', dockerfile, '--network', 'none')).stdout, /5:6:640\none\n/);
    fs.truncateSync(file, 700);
    const broken = await gantry('builder', 'cache', 'import', 'kept', file);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /unexpected end/);
    assert.match((await build('-f', dockerfile, '--network', 'none', '--no-cache')).stdout, /one\n/);
    const absent = await gantry('builder', 'cache', 'rm', 'none');
    assert.match(absent.stderr, /no cache mount has the id none: `gantry builder cache ls` shows those there are/);
    assert.match((await gantry('builder', 'cache', 'export')).stderr, /use it as `gantry builder cache export/);
  });

  test('what an index holds is listed, as a tree too', async () => {
    await build('--platform', 'linux/amd64,linux/arm64', '--sbom=true', '-t', 'listed:1');
    const client = new Client({ endpoint: { kind: 'unix', path: daemon.socket, url: daemon.host } });
    const [image] = await client.images.list({
      filters: new Map([['reference', ['listed']]]),
      manifests: true,
    });
    client.close();
    assert.match(image!.Descriptor!.mediaType, /index/);
    const images = image!.Manifests!.filter(({ Kind }) => Kind === 'image');
    assert.deepEqual(
      images.map(({ ImageData, Available }) => [ImageData!.Platform.architecture, Available]),
      [
        ['amd64', true],
        ['arm64', true],
      ],
    );
    for (const { Size, ImageData } of images) {
      assert.ok(ImageData!.Size.Unpacked >= 11);
      assert.equal(Size.Total, Size.Content + ImageData!.Size.Unpacked);
    }
    const attestations = image!.Manifests!.filter(({ Kind }) => Kind === 'attestation');
    assert.deepEqual(
      attestations.map(({ AttestationData }) => AttestationData!.For),
      images.map(({ ID }) => ID),
    );
    const { stdout } = await gantry('images', '--tree');
    assert.match(stdout, /^IMAGE +ID +DISK USAGE +CONTENT SIZE +EXTRA$/m);
    assert.match(
      stdout,
      /^listed:1 +[0-9a-f]{12} .*\n├─ linux\/amd64 +[0-9a-f]{12} .*\n└─ linux\/arm64 +[0-9a-f]{12} /m,
    );
    assert.equal((await gantry('images', '--tree', '-q')).code, 1);
    assert.equal((await gantry('rmi', 'listed:1')).code, 0);
  });

  test('what is refused, and how it is said', async () => {
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['-o', 'type=local'], /dest is required for local output/],
      [['-o', 'dest=x,tar=0'], /type is required for output/],
      [['-o', 'type=floppy,dest=x'], /unknown output type "floppy"/],
      [['-o', 'type=image,colour=red'], /unknown option "colour" for the output image/],
      [['-o', 'type=image,compression=lzma', '-t', 'x'], /unsupported layer compression type "lzma"/],
      [['-o', 'type=image,compression=estargz', '-t', 'x'], /not compressed as estargz by this engine: use gzip/],
      [
        ['-o', 'type=image,oci-artifact=true,oci-mediatypes=false', '-t', 'x'],
        /oci-artifact=true needs the media types of OCI/,
      ],
      [['-o', `type=local,dest=${join(directory, 'x')},mode=move`], /invalid mode "move" for local output: use copy/],
      [['-o', 'type=image,registry.insecure=true', '-t', 'x'], /name the registry in its insecure-registries/],
      [['-o', 'type=image,name-canonical=true', '-t', 'x'], /name-canonical of the output image is not supported/],
      [['-o', 'type=image,dangling-name-prefix=x'], /dangling-name-prefix of the output image is not supported/],
      [['-o', 'type=docker,context=other', '-t', 'x'], /unknown option "context"/],
      [['--push'], /tag is needed when pushing to registry/],
      [['-o', `type=tar,dest=${directory}`], /is a directory: a file is needed/],
      [['-o', join(directory, 'none/file.txt/x'), '-f', 'none'], /no such file or directory/],
      [
        ['--cache-to', 'type=gha'],
        /a cache of type gha is not supported by this engine: use inline, registry or local/,
      ],
      [['--cache-from', 'type=local'], /a cache of type local needs src=/],
      [['--cache-to', 'type=registry,ref=x,mode=most'], /invalid cache mode "most"/],
      [['--annotation', 'novalue'], /invalid annotation "novalue"/],
      [['--annotation', 'manifest[linux/s390x]:a=b', '-t', 'x'], /no image is made for the platform linux\/s390x/],
    ];
    for (const [words, complaint] of refused) {
      const ended = await gantry('build', ...words, context);
      assert.notEqual(ended.code, 0, words.join(' '));
      assert.match(ended.stderr, complaint);
    }
    const blocked = await gantry('build', '-o', `type=tar,dest=${join(directory, 'absent/x.tar')}`, context);
    assert.equal(blocked.code, 1);
    assert.match(blocked.stderr, /absent: no such file or directory/);
  });

  test('platforms are built side by side, and what fails on one ends the others', async () => {
    const folder = join(directory, 'platforms');
    fs.mkdirSync(folder);
    // Each waits for the other.
    fs.writeFileSync(
      join(folder, 'Dockerfile'),
      [
        'FROM --platform=$BUILDPLATFORM busybox AS build',
        'ARG TARGETARCH OTHER=amd64arm64',
        'RUN --mount=type=cache,target=/c touch /c/$TARGETARCH; for i in $(seq 600); do [ -e /c/${OTHER#$TARGETARCH} ] || [ -e /c/${OTHER%$TARGETARCH} ] && [ $(ls /c | wc -l) = 2 ] && exit 0; sleep 0.1; done; exit 5',
        'FROM scratch',
        'COPY --from=build /bin/busybox /',
        '',
      ].join('\n'),
    );
    const ended = await gantry('build', '--platform', 'linux/amd64,linux/arm64', '-t', 'both', folder);
    assert.equal(ended.code, 0, ended.stderr + ended.stdout);
    const [first, second] = ['linux/amd64', 'linux/arm64'].map((name) => ended.stdout.indexOf(`Platform ${name}\n`));
    assert.ok(first! >= 0 && second! > first!, 'what they print is not mixed');
    fs.writeFileSync(
      join(folder, 'Dockerfile'),
      'FROM --platform=$BUILDPLATFORM busybox\nARG TARGETARCH\nRUN if [ $TARGETARCH = arm64 ]; then exit 7; else sleep 600; fi\n',
    );
    const failed = await gantry('build', '--platform', 'linux/amd64,linux/arm64', folder);
    assert.equal(failed.code, 7, failed.stderr);
    assert.match(failed.stderr, /returned a non-zero code: 7/);
  });
});
