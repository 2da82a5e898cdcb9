/**
 * Who may import whom: a folder of `src/` may import the folders listed for it, itself, and nothing else.
 * The table is in reading order: what stands lower in the list may use what stands higher.
 */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  oci: ['base'],
  api: ['base'], // the contract: the Engine API's documents and routes, no I/O
  template: ['base'], // Go's templates, of `--format` and of log tags
  linux: ['base'], // the only folder that talks to the kernel
  state: ['base', 'oci', 'api'],
  content: ['base', 'oci'],
  snapshot: ['base', 'oci', 'api', 'linux', 'state', 'content'],
  registry: ['base', 'oci', 'content'],
  scan: ['base', 'api', 'linux', 'content', 'snapshot'], // what is installed in an image, and what is known about it
  logging: ['base', 'linux', 'template'], // servers that containers' output is sent to
  runtime: ['base', 'oci', 'api', 'linux', 'logging'],
  network: ['base', 'api', 'linux'],
  volume: ['base', 'api', 'linux'],
  build: ['base', 'oci', 'api', 'linux', 'content', 'snapshot'], // runtime and network reach it as an Executor, given by the engine
  engine: [
    'base',
    'oci',
    'api',
    'linux',
    'state',
    'content',
    'snapshot',
    'scan',
    'registry',
    'logging',
    'runtime',
    'network',
    'volume',
    'build',
  ],
  buildkit: ['base', 'api', 'oci', 'linux', 'content', 'build', 'engine'], // of linux only paths inside a root, of build the Dockerfile
  daemon: ['base', 'api', 'oci', 'linux', 'engine', 'buildkit'],
  client: ['base', 'api'],
  compose: ['base', 'api', 'content', 'client'], // of content only the tar format, for secrets and configs
  kube: ['base', 'api', 'client', 'content', 'compose'], // of content only the tar format, for configuration files
  dashboard: ['base', 'api', 'client'], // a page about an engine, and the server behind it
  bake: [], // the language of bake files: texts in, targets out
  cli: [
    'base',
    'api',
    'oci',
    'template',
    'content',
    'registry',
    'scan',
    'client',
    'dashboard',
    'compose',
    'kube',
    'bake',
  ], // of content only the tar format and manifests; registry for indexes and signatures, which are made without an engine
};

/** npm packages, and the folders that may import them. A package not named here may not be imported by `src/` at all. */
export const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  ws: ['dashboard'],
  preact: ['dashboard'],
  '@xterm/xterm': ['dashboard'],
  '@xterm/addon-fit': ['dashboard'],
  koffi: ['linux'],
  yaml: ['compose', 'kube', 'engine'], // of the engine only descriptions of devices (CDI)
  '@kubernetes/client-node': ['kube'],
  bcryptjs: ['registry'],
  '@bufbuild/protobuf': ['buildkit'],
  'smol-toml': ['registry'],
};

/** Node built-ins that only some folders may use. */
export const BUILTINS: Readonly<Record<string, readonly string[]>> = {
  'node:sqlite': ['state', 'scan'], // of scan only the database of rpm
  'node:child_process': ['linux', 'client', 'cli', 'daemon'],
};
