/** Files that people write, and get from others: Dockerfiles, Compose and bake files, settings. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readHclFile, readJsonFile, evaluate } from '../../src/bake/definition.ts';
import { planBake, readOverride } from '../../src/bake/targets.ts';
import { HclError } from '../../src/bake/template-end.ts';
import { EngineError } from '../../src/base/errors.ts';
import { PathPatterns } from '../../src/base/path-patterns.ts';
import { Template } from '../../src/template/template.ts';
import { parseDotenv } from '../../src/compose/model/dotenv.ts';
import { loadProject } from '../../src/compose/model/load.ts';
import { shellWords } from '../../src/compose/model/shell-words.ts';
import { parseCommandLine } from '../../src/daemon/command-line.ts';
import { loadConfig } from '../../src/daemon/config.ts';
import { PolicyFile } from '../../src/engine/policy/policy-file.ts';
import { readManifests } from '../../src/kube/manifests.ts';
import { parseHostsFile } from '../../src/registry/client/hosts-file.ts';
import { PIECES, readAsAll } from '../support/dockerfile-fuzzer.ts';
import { isPlainError, isTyped, readers, type Target } from './target.ts';

const text = (input: Buffer): string => input.toString('utf8');

const COMPOSE = `name: app
x-common: &common
  restart: always
services:
  web:
    <<: *common
    image: "nginx:\${TAG:-1}"
    ports: ["8080:80", {target: 90, published: "90-95"}]
    environment: {A: b, C: null}
    volumes: [data:/data, ./x:/y:ro, {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, "true"], interval: 1m30s}
    deploy: {resources: {limits: {cpus: "0.5", memory: 50M}}, replicas: 2}
    command: sh -c "echo $$HOME"
    profiles: [x]
  db:
    build: {context: ., args: [A=b], dockerfile_inline: "FROM scratch"}
    extends: {service: base}
  base: {image: x, expose: [80]}
networks: {default: {ipam: {config: [{subnet: 10.0.0.0/8}]}}}
volumes: {data: {external: true}}
secrets: {s: {environment: S}}
`;

const BAKE = `variable "TAG" { default = "1" }
function "double" {
  params = [x]
  result = "\${x}\${x}"
}
group "default" { targets = ["app", "b"] }
target "base" { no-cache = true }
target "b" { inherits = ["base"] }
target "app" {
  name = "app-\${v}"
  matrix = { v = ["a", "b"] }
  args = { V = v, W = upper("x"), N = 1 + 2 * 3 }
  tags = [for t in ["x", "y"] : "\${double(t)}:\${TAG}" if t != "x"]
  dockerfile-inline = <<EOT
FROM scratch
EOT
  cache-from = TAG == "1" ? ["type=registry,ref=x"] : []
}
`;

const DOCUMENT = {
  Id: 'abc',
  Names: ['a', 'b'],
  State: { Running: true, Pid: 12, Health: null },
  Labels: { 'a.b': 'c' },
  Size: 1.5,
};

function readBake(source: ReturnType<typeof readHclFile>): void {
  planBake(evaluate([source], { TAG: 'x' }), [], [readOverride('*.args.X=1')]);
}

function readTemplate(input: Buffer): void {
  new Template(text(input)).execute(DOCUMENT);
}

export function textTargets(): Target[] {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-fuzz-'));
  const settings = join(directory, 'daemon.json');
  const policy = join(directory, 'policy.json');
  let opened = 3;
  const close = async (): Promise<void> => {
    if (--opened === 0) rmSync(directory, { recursive: true, force: true });
  };
  return [
    {
      name: 'dockerfile',
      seeds: [
        'FROM a AS b\nRUN --mount=type=cache,target=/x <<EOF\necho\nEOF\nCOPY --from=b --chown=1:2 a b /c/\nENV A=b C="d $A"\n',
        '# syntax=x\n# escape=`\nARG V=1\nFROM x:${V:-2}\nHEALTHCHECK --interval=1s CMD ["a"]\nONBUILD ADD http://x /y\nLABEL a=b\n',
      ],
      pieces: PIECES,
      read: (input) => readAsAll(text(input)),
    },
    {
      name: 'dockerignore',
      seeds: ['# x\nnode_modules\n!a/**/b\n*.log\n/x/[a-z]?\n', '**\n!**/*.md\n\\!x\n'],
      pieces: ['*', '**', '?', '[', ']', '!', '/', '\\', '^', '-', 'a', '\n', '..', '#'],
      read: (input) => {
        const patterns = PathPatterns.parse(text(input));
        for (const path of ['a', 'a/b/c', 'node_modules/x/y.log', 'a'.repeat(300), 'x/'.repeat(50)])
          patterns.matches(path);
      },
    },
    {
      name: 'compose',
      seeds: [COMPOSE, 'services: {a: {image: x, env_file: [{path: e, required: false}]}}\n'],
      pieces: [
        'services:\n',
        '  a:\n',
        '    image: x\n',
        '- ',
        ': ',
        '{',
        '}',
        '[',
        ']',
        '&a ',
        '*a',
        '<<: ',
        '!reset ',
        '!override ',
        '|\n',
        '>-\n',
        '"',
        '${A',
        ':-',
        '?',
        '---\n',
        '\t',
        '    ports: ',
        '    build: ',
        'null',
        '1e3',
        '0o7',
        '2026-01-01',
      ],
      read: readers(
        (input) =>
          loadProject({
            files: ['-'],
            stdin: () => text(input),
            envFiles: [],
            profiles: ['*'],
            cwd: directory,
            env: { TAG: '2' },
            warn: () => {},
            fetchRemote: () => {
              throw new EngineError('unavailable', 'nothing is fetched here');
            },
          }),
        (input) => parseDotenv(text(input), '.env', () => undefined),
        (input) => shellWords(text(input)),
      ),
      close,
    },
    {
      name: 'kubernetes',
      seeds: [
        'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: x}]}\n---\nkind: List\nitems: []\n',
      ],
      pieces: ['---\n', 'kind: ', 'items:\n', '- ', ': ', '&a ', '*a', '{', '}'],
      read: (input) => readManifests(text(input), 'x.yaml'),
    },
    {
      name: 'bake',
      seeds: [BAKE, '{"target":{"default":{"args":{"A":"${upper(\\"x\\")}"},"tags":["a"]}}}'],
      pieces: [
        'target "a" {\n',
        'group "default" {\n',
        'variable "A" {\n',
        '}\n',
        ' = ',
        '[',
        ']',
        '{',
        '}',
        '"',
        '${',
        '%{if ',
        '%{endif}',
        'for x in ',
        ' : ',
        ' => ',
        '...',
        '?',
        '<<-E\n',
        'E\n',
        '(',
        ')',
        ',',
        '.',
        '*',
        '==',
        '!',
        '&&',
        'join',
        'replace',
        'range',
        'A',
        '1',
        '\n',
      ],
      read: (input) => {
        let refused: Error | undefined;
        for (const read of [readHclFile, readJsonFile]) {
          try {
            readBake(read(text(input)));
          } catch (error) {
            if (error instanceof SyntaxError && read === readJsonFile) continue;
            if (!(error instanceof HclError) && !isPlainError(error)) throw error;
            refused = error as Error;
          }
        }
        if (refused !== undefined) throw refused;
      },
      isRefusal: (error) => error instanceof HclError || isPlainError(error),
    },
    {
      name: 'template',
      seeds: [
        '{{.Id}}\t{{range $i, $n := .Names}}{{if $i}}, {{end}}{{$n | upper}}{{end}}',
        '{{with .State}}{{.Pid}}{{else}}-{{end}}{{json .Labels}}{{printf "%5.2f|%-4s" .Size "x"}}{{index .Labels "a.b"}}{{len .Names}}',
      ],
      pieces: [
        '{{',
        '}}',
        '{{-',
        '-}}',
        '.',
        '.Id',
        '.Names',
        '$x',
        ':=',
        '=',
        '|',
        'range ',
        'end',
        'if ',
        'else',
        'with ',
        'break',
        'continue',
        'and ',
        'or ',
        'not ',
        'eq ',
        'lt ',
        'printf ',
        'index ',
        'slice ',
        'json ',
        'join ',
        'split ',
        '"%d"',
        '"%*s"',
        '`a`',
        "'x'",
        '(',
        ')',
        ' ',
        '1',
        '/* x */',
        'template "T"',
        'block "T" .',
      ],
      read: readTemplate,
      isRefusal: (error) =>
        error instanceof Error &&
        (isPlainError(error) || error.constructor.name === 'TemplateSyntaxError' || isTyped(error)),
    },
    {
      name: 'hosts-toml',
      seeds: [
        'server = "https://x"\n[host."https://m/v2/x"]\n  capabilities = ["pull", "resolve"]\n  ca = "a.crt"\n  client = [["a","b"]]\n  skip_verify = true\n  override_path = true\n  dial_timeout = "5s"\n  [host."https://m/v2/x".header]\n    a = ["b"]\n',
      ],
      pieces: [
        '[host."',
        '"]\n',
        ' = ',
        'true',
        '[',
        ']',
        '{',
        '}',
        '"',
        "'''",
        '\n',
        'capabilities',
        'ca',
        'client',
        '1979-05-27',
        'inf',
        '0x',
      ],
      read: (input) => parseHostsFile(text(input), '/nowhere', '/nowhere/hosts.toml'),
    },
    {
      name: 'daemon-json',
      json: true,
      seeds: [
        JSON.stringify({
          debug: true,
          hosts: ['unix:///x', 'tcp://127.0.0.1:1'],
          'insecure-registries': ['a:1'],
          'registry-mirrors': ['https://m'],
          dns: ['1.1.1.1'],
          bip: '10.1.0.1/24',
          mtu: 1400,
          'log-opts': { 'max-size': '1m' },
          'default-address-pools': [{ base: '10.0.0.0/8', size: 24 }],
          'default-ulimits': { nofile: { Name: 'nofile', Hard: 1, Soft: 1 } },
          builder: { gc: { enabled: true, defaultKeepStorage: '1GB' } },
          runtimes: { x: { path: '/x', runtimeArgs: [] } },
          'data-root': '/nowhere',
          'shutdown-timeout': 5,
        }),
      ],
      read: (input) => {
        writeFileSync(settings, input);
        loadConfig(parseCommandLine(['--config-file', settings]));
      },
      close,
    },
    {
      name: 'policy',
      json: true,
      seeds: [
        JSON.stringify({ registries: ['docker.io/library'], requireDigest: ['x'], signatures: [], typos: 'refuse' }),
        JSON.stringify({ signatures: [{ images: 'a', keys: ['/nowhere'] }] }),
      ],
      read: (input) => {
        writeFileSync(policy, input);
        new PolicyFile(policy).read();
      },
      close,
    },
  ];
}
