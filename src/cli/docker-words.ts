/** Words of Docker's command line that have another place here, and what is told where there is none. */

/** `docker buildx WORD` by the names that the same commands have here. */
const BUILDX: Readonly<Record<string, readonly string[]>> = {
  b: ['build'],
  bake: ['bake'],
  build: ['build'],
  du: ['builder', 'du'],
  f: ['bake'],
  imagetools: ['imagetools'],
  prune: ['builder', 'prune'],
  version: ['version'],
};

/** The line as it is called here: `buildx build .` is `build .`. */
export function withoutBuildx(words: readonly string[]): readonly string[] {
  const [group, name] = words;
  if (group !== 'buildx' || name === undefined || !Object.hasOwn(BUILDX, name)) return words;
  return [...BUILDX[name]!, ...words.slice(2)];
}

const BUILDER = `The engine is the only builder, and always ready: none is made, chosen or removed. What buildx does is done by
  gantry build        build an image from a Dockerfile
  gantry bake         build from a file
  gantry imagetools   look at and make images in registries
  gantry builder      what the build cache takes, and removing it`;

const SWARM = `There is no Swarm here. Several containers are run together by
  gantry compose up     on this machine
  gantry kube apply     on the machines of a Kubernetes cluster`;

const INSTEAD: Readonly<Record<string, string>> = {
  buildx: BUILDER,
  config: SWARM,
  node: SWARM,
  service: SWARM,
  stack: SWARM,
  swarm: SWARM,
  plugin: 'The engine takes no plugins: volumes are local ones, networks bridge, host, none and container ones.',
  scout: `Known vulnerabilities and packages of an image are shown by
  gantry scan IMAGE
  gantry sbom IMAGE`,
  checkpoint: `Containers cannot be frozen to disk. What comes near:
  gantry pause CONTAINER     stop its processes where they are
  gantry commit CONTAINER    keep its files as an image`,
};

/** What to do in place of a command that is Docker's and not ours. */
export function insteadOf(group: string | undefined, name: string): string | undefined {
  if (group === undefined) return Object.hasOwn(INSTEAD, name) ? INSTEAD[name] : undefined;
  const buildxOnly = ['create', 'dial-stdio', 'history', 'inspect', 'ls', 'rm', 'stop', 'use'];
  return group === 'builder' && buildxOnly.includes(name) ? BUILDER : undefined;
}
