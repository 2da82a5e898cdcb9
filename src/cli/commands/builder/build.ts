import fs from 'node:fs';
import { join } from 'node:path';
import { askedContext, defaultDockerfile, namedTree } from '../../archive/build-context.ts';
import type { ClientTree } from '../../archive/client-tree.ts';
import { checkReplaced } from '../../archive/remove-others.ts';
import { findInLayout } from '../../archive/oci-layout.ts';
import { type LocalContext, sendBuild } from '../../archive/send-build.ts';
import type { BuildReportDocument } from '../../../api/gantry.ts';
import { graphMermaid, graphTree, sizeWaterfall } from '../../output/build-report.ts';
import type { BuildAnswers } from '../../../client/build-answers.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { type BuildOutputFlag, parseBuildOutput } from '../../options/build-output.ts';
import { readCacheFlags } from '../../options/build-cache.ts';
import { BuildFiles, checkDestinations } from './build-files.ts';
import { listBuildContext, readCall, runCall } from './calls.ts';
import { type ResultDescriptor, writeMetadata } from './metadata-file.ts';
import { allCredentials } from '../../credentials.ts';
import { bool, bytes, each, int, list, optional, string, strings, swapBytes } from '../../flag.ts';
import { parseBuilder } from '../../options/builder.ts';
import { checkSecret, parseSecret, parseSsh, readSecret, SshAgents } from '../../options/build-session.ts';
import { lockPathFor, neededLock, pinnedName, type Pins } from '../../lock/lock-file.ts';
import { imagesOfDockerfile } from '../../lock/sources.ts';
import { toRecord } from '../../options/environment.ts';
import { parseExtraHost } from '../../options/container-flags.ts';
import { parseUlimit } from '../../options/resource.ts';
import { readStream } from '../../output/file.ts';
import { showProgress } from '../../output/progress.ts';
import { runSession } from '../../terminal/session.ts';
import { showSteps, StepRows } from '../../output/step-rows.ts';
import { humanSize } from '../../output/units.ts';

export const build = command({
  usage: '[OPTIONS] PATH | URL | -',
  examples: `# An image from the Dockerfile in this directory
gantry build -t myapp:1.0 .

# Another Dockerfile, a value for its ARG
gantry build -t myapp:dev -f Dockerfile.dev --build-arg MODE=debug .

# A token that only a step sees: RUN --mount=type=secret,id=npm ...
gantry build --secret id=npm,src=$HOME/.npmrc .

# The ssh agent for a step that clones: RUN --mount=type=ssh git clone ...
gantry build --ssh default .`,
  flags: {
    annotation: list('Add annotation to the image'),
    'add-host': each('list', 'Add a custom host-to-IP mapping ("host:ip")', parseExtraHost),
    attest: list('Attestation parameters (format: "type=sbom", "type=provenance,mode=max")'),
    allow: strings('Allow extra privileged entitlement (e.g., "network.host", "security.insecure")'),
    'build-arg': list('Set build-time variables'),
    'build-context': list('Additional build contexts (e.g., name=path)'),
    builder: each('string', 'The builder: the engine is the only one ("default")', parseBuilder),
    'cache-from': list('External cache sources (e.g., "user/app:cache", "type=local,src=path/to/dir")'),
    'cache-to': list('Cache export destinations (e.g., "user/app:cache", "type=local,dest=path/to/dir")'),
    call: string('Set method for evaluating build ("check", "outline", "targets")', {
      initial: 'build',
      complete: ['build', 'check', 'outline', 'targets'],
    }),
    check: bool('Shorthand for "--call=check": look for mistakes in the Dockerfile without building it'),
    'cgroup-parent': string('Set the parent cgroup for the "RUN" instructions during build'),
    compress: bool('Compress the build context using gzip'),
    'context-ls': bool('List what the build context holds, what of it is sent, and by which rule not'),
    'cpu-period': int('Limit the CPU CFS (Completely Fair Scheduler) period'),
    'cpu-quota': int('Limit the CPU CFS (Completely Fair Scheduler) quota'),
    'cpu-shares': int('CPU shares (relative weight)', { short: 'c' }),
    'cpuset-cpus': string('CPUs in which to allow execution (0-3, 0,1)'),
    'cpuset-mems': string('MEMs in which to allow execution (0-3, 0,1)'),
    'debug-on-error': bool('Open a shell in a step that failed, with all that it had, when there is a terminal'),
    'disable-content-trust': bool('Skip image verification', { initial: true, hidden: true }),
    explain: bool('Say of every step that is not cached why not'),
    file: string('Name of the Dockerfile (Default is "PATH/Dockerfile", else "PATH/Containerfile")', {
      short: 'f',
      complete: 'file',
    }),
    'force-rm': bool('Always remove intermediate containers'),
    gitignore: bool('Leave out of the context what git ignores, and .git'),
    graph: string('After the build, print the graph of its stages and steps ("tree", "mermaid")', {
      complete: ['tree', 'mermaid'],
    }),
    iidfile: string('Write the image ID to the file', { complete: 'file' }),
    'inherit-labels': bool('Take over the labels of the base image or stage', { initial: true }),
    isolation: string('Container isolation technology'),
    label: list('Set metadata for an image'),
    locked: bool("Use the digests of the Dockerfile's lock (Dockerfile.lock), and no other images"),
    load: bool('Shorthand for "--output=type=docker"'),
    memory: bytes('Memory limit', { short: 'm' }),
    'memory-swap': swapBytes('Swap limit equal to memory plus swap: -1 to enable unlimited swap'),
    'metadata-file': string('Write build result metadata to a file', { complete: 'file' }),
    network: string('Set the networking mode for the RUN instructions during build', { initial: 'default' }),
    'no-cache': bool('Do not use cache when building the image'),
    'no-cache-filter': strings('Do not cache specified stages'),
    output: each('stringArray', 'Output destination (format: "type=local,dest=path")', parseBuildOutput, {
      short: 'o',
    }),
    platform: string('Set platform if server is multi-platform capable'),
    progress: string('Set type of progress output ("auto", "plain", "tty", "quiet", "json")', {
      initial: 'auto',
      complete: ['auto', 'plain', 'tty', 'quiet', 'json'],
    }),
    provenance: optional('Shorthand for "--attest=type=provenance"'),
    pull: bool('Always attempt to pull a newer version of the image'),
    push: bool('Shorthand for "--output=type=registry"'),
    quiet: bool('Suppress the build output and print image ID on success', { short: 'q' }),
    rm: bool('Remove intermediate containers after a successful build', { initial: true }),
    sbom: optional('Shorthand for "--attest=type=sbom"'),
    secret: list(
      'Secret to expose to the build ("id=mysecret[,src=/local/secret]", "id=mysecret,env=VARIABLE", "id=mysecret,source=engine[,name=SECRET]")',
    ),
    'security-opt': strings('Security options'),
    'shm-size': bytes('Size of "/dev/shm"'),
    ssh: list('SSH agent socket or keys to expose to the build ("default|<id>[=<socket>|<key>[,<key>]]")'),
    sizes: bool('After the build, print what each instruction adds to the image'),
    squash: bool('Squash newly built layers into a single new layer'),
    tag: list('Name and optionally a tag in the "name:tag" format', { short: 't' }),
    target: string('Set the target build stage to build.'),
    verify: bool('Build again without the cache and fail when the result is not the same'),
    timestamp: string(
      'Time of the image and of what it has no older files of, in seconds since 1970 ("SOURCE_DATE_EPOCH")',
    ),
    ulimit: each('ulimit', 'Ulimit options', parseUlimit, { defaultText: '[]' }),
  },
  args: { min: 1, max: 1 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const progress = flags.progress || cli.env['BUILDKIT_PROGRESS'] || 'auto';
    if (!['auto', 'plain', 'tty', 'quiet', 'json', 'rawjson'].includes(progress))
      throw new CommandError(`invalid progress type ${JSON.stringify(progress)}: use auto, plain, tty, quiet or json`);
    const quiet = flags.quiet || progress === 'quiet';
    const json = progress === 'json' || progress === 'rawjson';
    const place = args[0]!;
    const remote = isRemote(place);
    const call = flags.check ? { method: 'check', json: false } : readCall(flags.call);
    if ((call || flags['context-ls']) && remote)
      throw new CommandError('invalid argument: this needs a directory as its context');
    if (flags.gitignore && (remote || place === '-'))
      throw new CommandError('invalid argument: --gitignore needs a directory as its context');
    const buildArgs = { ...buildArguments(flags['build-arg'], cli), ...epochOf(flags) };
    const asked = { place, ...flags, buildArgs };
    if (flags['context-ls']) return listBuildContext(cli, asked);
    if (call) return runCall(cli, call, asked);
    if (!['', 'tree', 'mermaid'].includes(flags.graph))
      throw new CommandError(`unknown graph ${JSON.stringify(flags.graph)}: use tree or mermaid`);
    const caches = readCacheFlags({ from: flags['cache-from'], to: flags['cache-to'] });
    const pins = flags.locked ? await locksOf(cli, place, flags) : undefined;
    const attests = attestationsOf(flags);
    const outputs = outputsOf(flags);
    // What goes to stdout is alone there.
    const screen = outputs.some(({ dest }) => dest === '-') ? cli.io.stderr : cli.io.stdout;
    const redrawn = progress === 'tty' || (progress === 'auto' && screen.isTTY && cli.env['TERM'] !== 'dumb');
    // Explanations are lines that stay.
    const rows =
      redrawn && !quiet && !flags.explain
        ? new StepRows({ io: cli.io, output: screen, colour: screen.isTTY && !cli.env['NO_COLOR'] })
        : undefined;
    for (const { dest, replace } of outputs)
      if (replace === true && dest !== undefined) checkReplaced(dest, remote || place === '-' ? [] : [place]);
    checkDestinations(cli, outputs, [flags.iidfile, flags['metadata-file']]);
    const secrets = flags.secret.map((text) => parseSecret(text, cli.env));
    for (const secret of secrets) checkSecret(secret);
    const engineSecrets = secrets.flatMap((secret) => ('engine' in secret ? [secret] : []));
    await using agents = new SshAgents(flags.ssh.map((text) => parseSsh(text, cli.env)));
    const context = remote ? await remoteContext(cli, flags.file) : await localContext(cli, place, flags);
    const named = namedContexts(flags['build-context'], flags.gitignore);
    const client = await cli.client();
    if (engineSecrets.length > 0) await client.secrets.require();
    const credentials = await allCredentials(cli);
    const looksIn = flags['debug-on-error'] && cli.io.stdinIsTTY && cli.io.stdout.isTTY;
    const query = {
      t: flags.tag,
      dockerfile: context.dockerfile || undefined,
      remote: remote ? place : undefined,
      buildargs: Object.keys(buildArgs).length === 0 ? undefined : JSON.stringify(buildArgs),
      inheritlabels: flags['inherit-labels'] ? undefined : false,
      labels: flags.label.length === 0 ? undefined : JSON.stringify(toRecord(flags.label)),
      target: flags.target || undefined,
      allow: flags.allow.length === 0 ? undefined : JSON.stringify(flags.allow),
      nocache: flags['no-cache'] || undefined,
      nocachefilter: flags['no-cache-filter'].length === 0 ? undefined : JSON.stringify(flags['no-cache-filter']),
      contexts:
        named.size === 0
          ? undefined
          : JSON.stringify(Object.fromEntries([...named].map(([name, { value }]) => [name, value]))),
      pull: flags.pull || undefined,
      q: quiet || undefined,
      explain: flags.explain || undefined,
      verify: flags.verify || undefined,
      enterfailed: looksIn || undefined,
      report: flags.sizes || flags.graph !== '' || undefined,
      rm: flags.rm,
      forcerm: flags['force-rm'] || undefined,
      squash: flags.squash || undefined,
      memory: flags.memory || undefined,
      memswap: flags['memory-swap'] || undefined,
      cpushares: flags['cpu-shares'] || undefined,
      cpuperiod: flags['cpu-period'] || undefined,
      cpuquota: flags['cpu-quota'] || undefined,
      cpusetcpus: flags['cpuset-cpus'] || undefined,
      cpusetmems: flags['cpuset-mems'] || undefined,
      cgroupparent: flags['cgroup-parent'] || undefined,
      shmsize: flags['shm-size'] || undefined,
      ulimits: flags.ulimit.length === 0 ? undefined : JSON.stringify(flags.ulimit),
      networkmode: flags.network,
      cachefrom: caches.from.length === 0 ? undefined : JSON.stringify(caches.from.map(({ text }) => text)),
      cacheto: caches.to.length === 0 ? undefined : JSON.stringify(caches.to.map(({ text }) => text)),
      extrahosts: flags['add-host'].length === 0 ? undefined : flags['add-host'].join(','),
      securityopt: flags['security-opt'].length === 0 ? undefined : JSON.stringify(flags['security-opt']),
      isolation: flags.isolation || undefined,
      platform: flags.platform || cli.env['DOCKER_DEFAULT_PLATFORM'] || undefined,
      outputs:
        outputs.length === 0
          ? undefined
          : JSON.stringify(outputs.map(({ type, attributes }) => ({ Type: type, Attrs: attributes }))),
      attestations: attests.length === 0 ? undefined : JSON.stringify(attests),
      annotations: flags.annotation.length === 0 ? undefined : JSON.stringify(flags.annotation),
      enginesecrets:
        engineSecrets.length === 0
          ? undefined
          : JSON.stringify(Object.fromEntries(engineSecrets.map(({ id, engine }) => [id, engine]))),
      pins: pins && JSON.stringify(Object.fromEntries(pins)),
      events: json || rows !== undefined || undefined,
      version: '1',
    };
    let id = '';
    const receiver = new BuildFiles(cli, client, { outputs, caches });
    const messages = sendBuild(client, {
      query,
      signal: receiver.signal,
      context,
      answers: {
        secret: async (id) => {
          const source = secrets.find((secret) => secret.id === id && !('engine' in secret));
          return source && readSecret(source, cli.env);
        },
        sshAgent: (id) => agents.connect(id),
        ...(looksIn && {
          shell: async (message, open, resize) => {
            rows?.end();
            await enterFailedStep(cli, message, open, resize);
          },
        }),
      },
      secrets: secrets.filter((secret) => !('engine' in secret)).map(({ id }) => id),
      layouts: new Map([...named.values()].flatMap(({ layout }) => (layout ? [[layout.store, layout.directory]] : []))),
      named: new Map([...named].flatMap(([name, { tree }]) => (tree ? [[name, { tree, label: name }]] : []))),
      ssh: flags.ssh.map((text) => parseSsh(text, cli.env).id),
      compress: flags.compress,
      sending: rows
        ? (bytes) => rows.detail(`Sending build context to the engine  ${humanSize(bytes)}`)
        : sending(cli, quiet),
      registryConfig:
        Object.keys(credentials).length === 0
          ? undefined
          : Buffer.from(JSON.stringify(credentials)).toString('base64url'),
    });
    const reports: BuildReportDocument[] = [];
    let descriptor: ResultDescriptor | undefined;
    const onAux = (aux: unknown): void => {
      id = (aux as { ID?: string }).ID ?? id;
      descriptor = (aux as { Descriptor?: ResultDescriptor }).Descriptor ?? descriptor;
      const report = (aux as { Report?: BuildReportDocument }).Report;
      if (report) reports.push(report);
      receiver.onAux(aux);
    };
    const show = async (): Promise<number> => {
      if (json) {
        for await (const message of messages) {
          cli.print(JSON.stringify(message));
          if (message.aux !== undefined) onAux(message.aux);
          if (message.error !== undefined) return message.errorDetail?.code || 1;
        }
      } else if (quiet) {
        let log = '';
        const collect = {
          isTTY: false,
          columns: 80,
          rows: 24,
          write: (data: string | Uint8Array) => void (log += String(data)),
        };
        await showProgress(collect, messages, { onAux, stepCode: true }).catch((error: unknown) => {
          cli.io.stderr.write(log); // of a build that failed, everything is wanted
          throw error;
        });
        id ||= log.trim();
        if (screen === cli.io.stdout) cli.print(id);
      } else if (rows) {
        await showSteps(rows, screen, messages, onAux);
      } else {
        await showProgress(screen, messages, { onAux, stepCode: true });
      }
      await receiver.done();
      return 0;
    };
    const code = await show().catch((error: unknown) => {
      throw receiver.reason(error);
    });
    if (code !== 0) return code;
    for (const report of reports) {
      if (flags.graph === 'tree') screen.write(cli.clean(graphTree(report)));
      if (flags.graph === 'mermaid') screen.write(cli.clean(graphMermaid(report)));
      if (flags.sizes) screen.write(cli.clean(sizeWaterfall(report)));
    }
    if (flags.iidfile !== '') {
      if (id === '') throw new CommandError(`cannot write ${flags.iidfile} because no image ID was found`);
      fs.writeFileSync(flags.iidfile, id);
    }
    if (flags['metadata-file'] !== '')
      writeMetadata(flags['metadata-file'], { id, descriptor, names: namesOf(flags.tag, outputs) });
    return 0;
  },
});

/** `--timestamp` is the build argument that says the same. */
function epochOf({
  timestamp,
  'build-arg': args,
}: {
  readonly timestamp: string;
  readonly 'build-arg': readonly string[];
}): Record<string, string> {
  if (timestamp === '') return {};
  if (!/^\d{1,11}$/.test(timestamp))
    throw new CommandError(`invalid argument ${JSON.stringify(timestamp)} for "--timestamp": it is seconds since 1970`);
  if (args.some((item) => item.split('=', 1)[0] === 'SOURCE_DATE_EPOCH'))
    throw new CommandError('invalid argument: --timestamp and --build-arg SOURCE_DATE_EPOCH say the same: give one');
  return { SOURCE_DATE_EPOCH: timestamp };
}

/** The digests of what the Dockerfile names. Throws when there is no lock, or it lacks one: an engine that knows no locks is not asked. */
async function locksOf(
  cli: Cli,
  place: string,
  { file, 'build-arg': args }: { readonly file: string; readonly 'build-arg': readonly string[] },
): Promise<Pins> {
  if (isRemote(place) || place === '-' || file === '-')
    throw new CommandError('invalid argument: --locked needs a directory as its context');
  const dockerfile = file === '' ? join(place, defaultDockerfile(place) ?? 'Dockerfile') : file;
  const path = lockPathFor(dockerfile);
  const pins = neededLock(path);
  for (const name of await imagesOfDockerfile(cli, dockerfile, toRecord(args))) pinnedName(name, pins, path);
  return pins;
}

/** A shell in the step that failed; the build ends when it is left. */
async function enterFailedStep(
  cli: Cli,
  ...[message, open, resize]: Parameters<NonNullable<BuildAnswers['shell']>>
): Promise<void> {
  cli.warn(
    `${message}\nEntering the step as it is now: its files, mounts, variables, user and network. Leave the shell to go on.`,
  );
  const { rows, columns } = cli.io.stdout;
  const stream = await open({ rows, columns });
  const stopSize = cli.io.onResize(() => {
    // It may be over.
    resize({ rows: cli.io.stdout.rows, columns: cli.io.stdout.columns }).catch(() => undefined);
  });
  try {
    await runSession(cli, stream, { tty: true, stdin: true, detachKeys: '' });
  } finally {
    stopSize();
  }
}

/** `--attest`, and what `--sbom` and `--provenance` stand for: `true`, `false`, or attributes. */
function attestationsOf(flags: {
  readonly attest: readonly string[];
  readonly sbom: string;
  readonly provenance: string;
}): string[] {
  const short = (type: 'sbom' | 'provenance', value: string): string[] => {
    if (value === '') return [];
    if (/^(0|f|false)$/i.test(value)) return [`type=${type},disabled=true`];
    return /^(1|t|true)$/i.test(value) ? [`type=${type}`] : [`type=${type},${value}`];
  };
  return [...flags.attest, ...short('sbom', flags.sbom), ...short('provenance', flags.provenance)];
}

/** What `-o`, `--push` and `--load` ask for together. */
function outputsOf(flags: {
  readonly output: readonly BuildOutputFlag[];
  readonly push: boolean;
  readonly load: boolean;
}): BuildOutputFlag[] {
  const outputs = [...flags.output];
  const stays = { attributes: {}, dest: undefined, unpack: false };
  if (flags.push) {
    const image = outputs.findIndex(({ type }) => type === 'image');
    if (image >= 0)
      outputs[image] = { ...outputs[image]!, attributes: { ...outputs[image]!.attributes, push: 'true' } };
    else if (!outputs.some(({ type }) => type === 'registry')) outputs.push({ type: 'registry', ...stays });
  }
  if (flags.load && !outputs.some(({ type, dest }) => type === 'docker' && dest === undefined))
    outputs.push({ type: 'docker', ...stays });
  return outputs;
}

function namesOf(tags: readonly string[], outputs: readonly BuildOutputFlag[]): string[] {
  const named = outputs
    .flatMap(({ attributes }) => (attributes['name'] ?? '').split(','))
    .filter((name) => name !== '');
  return named.length > 0 ? named : [...tags];
}

/** Git repositories and archives on a web server: fetched by the engine. */
function isRemote(place: string): boolean {
  return /^((https?|git|ssh):\/\/|[\w.-]+@[\w.-]+:|github\.com\/)/.test(place);
}

interface GivenContext {
  readonly value: string;
  readonly tree?: ClientTree;
  readonly layout?: { readonly store: string; readonly directory: string };
}

/** `--build-context name=value`: a directory of this side, or what the engine gets itself. */
function namedContexts(given: readonly string[], gitignore: boolean): Map<string, GivenContext> {
  const named = new Map<string, GivenContext>();
  for (const text of given) {
    const cut = text.indexOf('=');
    const name = text.slice(0, Math.max(0, cut)).toLowerCase();
    const value = text.slice(cut + 1);
    if (cut < 0 || name === '' || value === '')
      throw new CommandError(`invalid context value: ${text}, expected key=value`);
    if (name === 'context') throw new CommandError('invalid context name context: it is that of the build context');
    const layout = /^oci-layout:\/\/(.+)$/.exec(value)?.[1];
    if (layout !== undefined) {
      const { directory, digest } = findInLayout(layout);
      const store = `layout-${named.size}`;
      named.set(name, { value: `oci-layout://${store}@${digest}`, layout: { store, directory } });
      continue;
    }
    const isPlace = /^(docker-image|target|input):/.test(value) || isRemote(value);
    named.set(name, isPlace ? { value } : { value: 'local', tree: namedTree(value, { gitignore }) });
  }
  return named;
}

async function remoteContext(cli: Cli, file: string): Promise<LocalContext> {
  if (file !== '-') return { dockerfile: file };
  return { dockerfile: 'Dockerfile', text: await whole(cli.io.stdin()) };
}

async function localContext(
  cli: Cli,
  place: string,
  { file, gitignore }: { readonly file: string; readonly gitignore: boolean },
): Promise<LocalContext> {
  if (place === '-') {
    if (file === '-') throw new CommandError("invalid argument: can't use stdin for both build context and dockerfile");
    return stdinContext(cli, file);
  }
  const dockerfile = file === '-' ? { text: await whole(cli.io.stdin()) } : file;
  return { ...askedContext(place, dockerfile, { gitignore }), gitignore };
}

/** What comes on stdin is a tar, compressed or not, or else a Dockerfile. */
async function stdinContext(cli: Cli, file: string): Promise<LocalContext> {
  const source = readStream(cli, '-')[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < 512) {
    const next = await source.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const rest: AsyncIterable<Uint8Array> = {
    async *[Symbol.asyncIterator]() {
      yield head;
      for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value;
    },
  };
  if (isArchive(head)) return { archive: rest, dockerfile: file };
  return { text: await whole(rest), dockerfile: 'Dockerfile' };
}

/** ustar, or the first bytes of gzip, bzip2, xz, zstd. */
function isArchive(head: Buffer): boolean {
  if (head.toString('latin1', 257, 262) === 'ustar') return true;
  return ['1f8b', '425a68', 'fd377a585a00', '28b52ffd'].some(
    (magic) => head.toString('hex', 0, magic.length / 2) === magic,
  );
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of source) {
    size += part.byteLength;
    if (size > 32 * 2 ** 20)
      throw new CommandError('the Dockerfile on stdin is larger than 32 MiB: is it an archive of an unknown kind?');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** `--build-arg NAME` takes its value from the environment; without one there it is not passed. */
function buildArguments(given: readonly string[], cli: Cli): Record<string, string | null> {
  return Object.fromEntries(
    given.map((item) => {
      const cut = item.indexOf('=');
      return cut < 0 ? [item, cli.env[item] ?? null] : [item.slice(0, cut), item.slice(cut + 1)];
    }),
  );
}

/** `Sending build context`: on a terminal while it grows, otherwise once. */
function sending(cli: Cli, quiet: boolean): (bytes: number) => void {
  if (quiet || !cli.io.stdout.isTTY) return () => {};
  let last = 0;
  // Whatever comes next has the line for itself.
  const clear = (): void => cli.io.stdout.write('\x1b[2K');
  return (bytes) => {
    if (Date.now() - last < 200) return;
    last = Date.now();
    cli.io.giveScreen(clear);
    cli.io.stdout.write(`\r\x1b[2KSending build context to the engine  ${humanSize(bytes)}\r`);
    cli.io.holdScreen(clear);
  };
}
