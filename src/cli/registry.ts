/** Every command: where it hangs, one line about it, and the file that is loaded when it is called. */
import type { Command } from './command.ts';
import { compareText } from './output/order.ts';

export interface Entry {
  /** All the ways to call it, the full one first: `['container run', 'run']`. */
  readonly paths: readonly string[];
  readonly summary: string;
  /** Shown under 'Common Commands' of the top help. */
  readonly common?: boolean;
  /** Left out of help and completion. */
  readonly hidden?: boolean;
  load(): Promise<Command>;
}

export interface Group {
  readonly name: string;
  readonly summary: string;
}

export const GROUPS: readonly Group[] = [
  { name: 'builder', summary: 'Manage builds' },
  { name: 'container', summary: 'Manage containers' },
  { name: 'context', summary: 'Manage contexts' },
  { name: 'dns', summary: 'Names as containers see them' },
  { name: 'image', summary: 'Manage images' },
  { name: 'imagetools', summary: 'Look at and make images in registries' },
  { name: 'manifest', summary: 'Manage image manifests and manifest lists' },
  { name: 'kube', summary: 'Manifests of Kubernetes: on this machine, and in a cluster' },
  { name: 'network', summary: 'Manage networks' },
  { name: 'secret', summary: 'Manage secrets' },
  { name: 'registry', summary: 'Serve images to others' },
  { name: 'scope', summary: 'Sockets of the engine with less behind them' },
  { name: 'system', summary: 'Manage the engine' },
  { name: 'trust', summary: 'Sign images and verify signatures' },
  { name: 'volume', summary: 'Manage volumes' },
];

export const COMMANDS: readonly Entry[] = [
  {
    paths: ['compose'],
    summary: 'Define and run multi-container applications',
    common: true,
    load: async () => (await import('./commands/compose/compose.ts')).compose,
  },
  // containers
  {
    paths: ['container run', 'run'],
    summary: 'Create and run a new container from an image',
    common: true,
    load: async () => (await import('./commands/container/run.ts')).run,
  },
  {
    paths: ['container exec', 'exec'],
    summary: 'Execute a command in a running container',
    common: true,
    load: async () => (await import('./commands/container/exec.ts')).exec,
  },
  {
    paths: ['container ls', 'container list', 'container ps', 'ps'],
    summary: 'List containers',
    common: true,
    load: async () => (await import('./commands/container/ls.ts')).ls,
  },
  {
    paths: ['container attach', 'attach'],
    summary: 'Attach local standard input, output, and error streams to a running container',
    load: async () => (await import('./commands/container/attach.ts')).attach,
  },
  {
    paths: ['container commit', 'commit'],
    summary: "Create a new image from a container's changes",
    load: async () => (await import('./commands/container/commit.ts')).commit,
  },
  {
    paths: ['container cp', 'cp'],
    summary: 'Copy files/folders between a container and the local filesystem',
    load: async () => (await import('./commands/container/cp.ts')).cp,
  },
  {
    paths: ['container create', 'create'],
    summary: 'Create a new container',
    load: async () => (await import('./commands/container/create.ts')).create,
  },
  {
    paths: ['container diff', 'diff'],
    summary: "Inspect changes to files or directories on a container's filesystem",
    load: async () => (await import('./commands/container/diff.ts')).diff,
  },
  {
    paths: ['container export', 'export'],
    summary: "Export a container's filesystem as a tar archive",
    load: async () => (await import('./commands/container/export.ts')).exportContainer,
  },
  {
    paths: ['container inspect'],
    summary: 'Display detailed information on one or more containers',
    load: async () => (await import('./commands/container/inspect.ts')).inspect,
  },
  {
    paths: ['container kill', 'kill'],
    summary: 'Kill one or more running containers',
    load: async () => (await import('./commands/container/kill.ts')).kill,
  },
  {
    paths: ['container logs', 'logs'],
    summary: 'Fetch the logs of a container',
    load: async () => (await import('./commands/container/logs.ts')).logs,
  },
  {
    paths: ['container pause', 'pause'],
    summary: 'Pause all processes within one or more containers',
    load: async () => (await import('./commands/container/pause.ts')).pause,
  },
  {
    paths: ['container port', 'port'],
    summary: 'List port mappings or a specific mapping for the container',
    load: async () => (await import('./commands/container/port.ts')).port,
  },
  {
    paths: ['container prune'],
    summary: 'Remove all stopped containers',
    load: async () => (await import('./commands/container/prune.ts')).prune,
  },
  {
    paths: ['container rename', 'rename'],
    summary: 'Rename a container',
    load: async () => (await import('./commands/container/rename.ts')).rename,
  },
  {
    paths: ['system undo', 'undo'],
    summary: 'Bring back what was removed',
    load: async () => (await import('./commands/system/undo.ts')).undo,
  },
  {
    paths: ['container why', 'why'],
    summary: 'Tell why a container stopped, restarts, is unhealthy or cannot be reached',
    load: async () => (await import('./commands/container/why.ts')).why,
  },
  {
    paths: ['container restart', 'restart'],
    summary: 'Restart one or more containers',
    load: async () => (await import('./commands/container/stop.ts')).restart,
  },
  {
    paths: ['container rm', 'container remove', 'rm'],
    summary: 'Remove one or more containers',
    load: async () => (await import('./commands/container/rm.ts')).rm,
  },
  {
    paths: ['container start', 'start'],
    summary: 'Start one or more stopped containers',
    load: async () => (await import('./commands/container/start.ts')).start,
  },
  {
    paths: ['container stats', 'stats'],
    summary: 'Display a live stream of container(s) resource usage statistics',
    load: async () => (await import('./commands/container/stats.ts')).stats,
  },
  {
    paths: ['container stop', 'stop'],
    summary: 'Stop one or more running containers',
    load: async () => (await import('./commands/container/stop.ts')).stop,
  },
  {
    paths: ['container top', 'top'],
    summary: 'Display the running processes of a container',
    load: async () => (await import('./commands/container/top.ts')).top,
  },
  {
    paths: ['container unpause', 'unpause'],
    summary: 'Unpause all processes within one or more containers',
    load: async () => (await import('./commands/container/pause.ts')).unpause,
  },
  {
    paths: ['container update', 'update'],
    summary: 'Update configuration of one or more containers',
    load: async () => (await import('./commands/container/update.ts')).update,
  },
  {
    paths: ['container wait', 'wait'],
    summary: 'Block until one or more containers stop, then print their exit codes',
    load: async () => (await import('./commands/container/wait.ts')).wait,
  },
  // images
  {
    paths: ['image build', 'build', 'builder build'],
    summary: 'Build an image from a Dockerfile',
    common: true,
    load: async () => (await import('./commands/builder/build.ts')).build,
  },
  {
    paths: ['image pull', 'pull'],
    summary: 'Download an image from a registry',
    common: true,
    load: async () => (await import('./commands/image/pull.ts')).pull,
  },
  {
    paths: ['image push', 'push'],
    summary: 'Upload an image to a registry',
    common: true,
    load: async () => (await import('./commands/image/push.ts')).push,
  },
  {
    paths: ['image ls', 'image list', 'images'],
    summary: 'List images',
    common: true,
    load: async () => (await import('./commands/image/ls.ts')).ls,
  },
  {
    paths: ['image bootstrap'],
    summary: "Make a base image from a distribution's packages, without a registry",
    load: async () => (await import('./commands/image/bootstrap.ts')).bootstrap,
  },
  {
    paths: ['system fsck', 'image fsck'],
    summary: 'Read every blob and layer again, and report what is damaged',
    load: async () => (await import('./commands/image/fsck.ts')).fsck,
  },
  {
    paths: ['image scan', 'scan'],
    summary: 'List known vulnerabilities in the packages of an image',
    load: async () => (await import('./commands/image/scan.ts')).scan,
  },
  {
    paths: ['image sbom', 'sbom'],
    summary: 'List the packages of an image as SPDX, CycloneDX or a table',
    load: async () => (await import('./commands/image/sbom.ts')).sbom,
  },
  {
    paths: ['image history', 'history'],
    summary: 'Show the history of an image',
    load: async () => (await import('./commands/image/history.ts')).history,
  },
  {
    paths: ['image import', 'import'],
    summary: 'Import the contents from a tarball to create a filesystem image',
    load: async () => (await import('./commands/image/import.ts')).importImage,
  },
  {
    paths: ['image inspect'],
    summary: 'Display detailed information on one or more images',
    load: async () => (await import('./commands/image/inspect.ts')).inspect,
  },
  {
    paths: ['image load', 'load'],
    summary: 'Load an image from a tar archive or STDIN',
    load: async () => (await import('./commands/image/load.ts')).load,
  },
  {
    paths: ['image prune'],
    summary: 'Remove unused images',
    load: async () => (await import('./commands/image/prune.ts')).prune,
  },
  {
    paths: ['image rm', 'image remove', 'rmi'],
    summary: 'Remove one or more images',
    load: async () => (await import('./commands/image/rm.ts')).rm,
  },
  {
    paths: ['image save', 'save'],
    summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
    load: async () => (await import('./commands/image/save.ts')).save,
  },
  {
    paths: ['image tag', 'tag'],
    summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
    load: async () => (await import('./commands/image/tag.ts')).tag,
  },
  {
    paths: ['bake', 'builder bake'],
    summary: 'Build from a file',
    load: async () => (await import('./commands/bake/bake.ts')).bake,
  },
  {
    paths: ['builder cache'],
    summary: 'List, export, import and remove the caches of RUN --mount=type=cache',
    load: async () => (await import('./commands/builder/cache.ts')).cache,
  },
  {
    paths: ['builder du'],
    summary: 'Disk usage of the build cache',
    load: async () => (await import('./commands/builder/du.ts')).du,
  },
  {
    paths: ['builder prune'],
    summary: 'Remove build cache',
    load: async () => (await import('./commands/builder/prune.ts')).prune,
  },
  // registries
  {
    paths: ['login'],
    summary: 'Authenticate to a registry',
    common: true,
    load: async () => (await import('./commands/registry/login.ts')).login,
  },
  {
    paths: ['registry serve'],
    summary: 'Serve a registry in the foreground',
    load: async () => (await import('./commands/registry/serve.ts')).serve,
  },
  {
    paths: ['scope create'],
    summary: 'Make a socket of the engine with less behind it',
    load: async () => (await import('./commands/scope/create.ts')).create,
  },
  {
    paths: ['scope ls', 'scope list'],
    summary: 'List scopes',
    load: async () => (await import('./commands/scope/ls.ts')).ls,
  },
  {
    paths: ['scope rm', 'scope remove'],
    summary: 'Remove scopes',
    load: async () => (await import('./commands/scope/rm.ts')).rm,
  },
  {
    paths: ['registry ls', 'registry list'],
    summary: 'List the registries over the images of the engine',
    load: async () => (await import('./commands/registry/listeners.ts')).ls,
  },
  {
    paths: ['registry stop'],
    summary: 'Close registries over the images of the engine',
    load: async () => (await import('./commands/registry/listeners.ts')).stop,
  },
  {
    paths: ['registry prune'],
    summary: "Delete what a registry's retention rules let go",
    load: async () => (await import('./commands/registry/serve.ts')).prune,
  },
  {
    paths: ['logout'],
    summary: 'Log out from a registry',
    common: true,
    load: async () => (await import('./commands/registry/logout.ts')).logout,
  },
  {
    paths: ['search'],
    summary: 'Search Docker Hub for images',
    common: true,
    load: async () => (await import('./commands/registry/search.ts')).search,
  },
  {
    paths: ['manifest annotate'],
    summary: 'Add additional information to a local image manifest',
    load: async () => (await import('./commands/manifest/annotate.ts')).annotate,
  },
  {
    paths: ['manifest create'],
    summary: 'Create a local manifest list for annotating and pushing to a registry',
    load: async () => (await import('./commands/manifest/create.ts')).create,
  },
  {
    paths: ['manifest inspect'],
    summary: 'Display an image manifest, or manifest list',
    load: async () => (await import('./commands/manifest/inspect.ts')).inspect,
  },
  {
    paths: ['manifest push'],
    summary: 'Push a manifest list to a repository',
    load: async () => (await import('./commands/manifest/push.ts')).push,
  },
  {
    paths: ['manifest rm'],
    summary: 'Delete one or more manifest lists from local storage',
    load: async () => (await import('./commands/manifest/rm.ts')).rm,
  },
  {
    paths: ['imagetools create'],
    summary: 'Create a new image based on source images',
    load: async () => (await import('./commands/imagetools/create.ts')).create,
  },
  {
    paths: ['imagetools inspect'],
    summary: 'Show details of an image in the registry',
    load: async () => (await import('./commands/imagetools/inspect.ts')).inspect,
  },
  {
    paths: ['trust inspect'],
    summary: 'Show the signatures of an image in a registry',
    load: async () => (await import('./commands/trust/verify.ts')).inspect,
  },
  {
    paths: ['trust keygen'],
    summary: 'Generate a key to sign images with',
    load: async () => (await import('./commands/trust/keys.ts')).generate,
  },
  {
    paths: ['trust sign'],
    summary: 'Sign an image in its registry',
    load: async () => (await import('./commands/trust/sign.ts')).sign,
  },
  {
    paths: ['trust verify'],
    summary: 'Verify that an image in a registry is signed',
    load: async () => (await import('./commands/trust/verify.ts')).verify,
  },
  {
    paths: ['lock'],
    summary: 'Write down which images the tags in Dockerfiles and compose files mean',
    load: async () => (await import('./commands/lock/lock.ts')).lock,
  },
  // networks and volumes
  {
    paths: ['network ports', 'ports'],
    summary: 'List published ports, their containers and from where they can be reached',
    load: async () => (await import('./commands/network/ports.ts')).ports,
  },
  {
    paths: ['dns trace'],
    summary: 'Show step by step how a name is resolved',
    load: async () => (await import('./commands/network/dns-trace.ts')).dnsTrace,
  },
  {
    paths: ['network connect'],
    summary: 'Connect a container to a network',
    load: async () => (await import('./commands/network/connect.ts')).connect,
  },
  {
    paths: ['network create'],
    summary: 'Create a network',
    load: async () => (await import('./commands/network/create.ts')).create,
  },
  {
    paths: ['network disconnect'],
    summary: 'Disconnect a container from a network',
    load: async () => (await import('./commands/network/connect.ts')).disconnect,
  },
  {
    paths: ['network inspect'],
    summary: 'Display detailed information on one or more networks',
    load: async () => (await import('./commands/network/inspect.ts')).inspect,
  },
  {
    paths: ['network ls', 'network list'],
    summary: 'List networks',
    load: async () => (await import('./commands/network/ls.ts')).ls,
  },
  {
    paths: ['network prune'],
    summary: 'Remove all unused networks',
    load: async () => (await import('./commands/network/prune.ts')).prune,
  },
  {
    paths: ['network rm', 'network remove'],
    summary: 'Remove one or more networks',
    load: async () => (await import('./commands/network/rm.ts')).rm,
  },
  {
    paths: ['kube apply'],
    summary: 'Bring manifests to a cluster',
    load: async () => (await import('./commands/kube/apply.ts')).apply,
  },
  {
    paths: ['kube down'],
    summary: 'Delete the objects of manifests from a cluster',
    load: async () => (await import('./commands/kube/down.ts')).down,
  },
  {
    paths: ['kube generate'],
    summary: 'Write the manifests of a pod or of containers',
    load: async () => (await import('./commands/kube/generate.ts')).generate,
  },
  {
    paths: ['kube logs'],
    summary: 'Show what the pods of manifests print in a cluster',
    load: async () => (await import('./commands/kube/logs.ts')).logs,
  },
  {
    paths: ['kube play'],
    summary: 'Run the pods of manifests on this machine',
    load: async () => (await import('./commands/kube/play.ts')).play,
  },
  {
    paths: ['secret create'],
    summary: 'Create a secret from a file or STDIN as content',
    load: async () => (await import('./commands/secret/create.ts')).create,
  },
  {
    paths: ['secret inspect'],
    summary: 'Display detailed information on one or more secrets',
    load: async () => (await import('./commands/secret/inspect.ts')).inspect,
  },
  {
    paths: ['secret ls', 'secret list'],
    summary: 'List secrets',
    load: async () => (await import('./commands/secret/ls.ts')).ls,
  },
  {
    paths: ['secret rm', 'secret remove'],
    summary: 'Remove one or more secrets',
    load: async () => (await import('./commands/secret/rm.ts')).rm,
  },
  {
    paths: ['secret rotate'],
    summary: 'Give a secret a new value',
    load: async () => (await import('./commands/secret/rotate.ts')).rotate,
  },
  {
    paths: ['secret rotate-key'],
    summary: 'Seal every secret with a new key',
    load: async () => (await import('./commands/secret/rotate-key.ts')).rotateKey,
  },
  {
    paths: ['secret scan'],
    summary: 'Search a log or an image for values of secrets',
    load: async () => (await import('./commands/secret/scan.ts')).scan,
  },
  {
    paths: ['secret update'],
    summary: 'Change the labels of a secret',
    load: async () => (await import('./commands/secret/update.ts')).update,
  },
  {
    paths: ['volume create'],
    summary: 'Create a volume',
    load: async () => (await import('./commands/volume/create.ts')).create,
  },
  {
    paths: ['volume inspect'],
    summary: 'Display detailed information on one or more volumes',
    load: async () => (await import('./commands/volume/inspect.ts')).inspect,
  },
  {
    paths: ['volume ls', 'volume list'],
    summary: 'List volumes',
    load: async () => (await import('./commands/volume/ls.ts')).ls,
  },
  {
    paths: ['volume prune'],
    summary: 'Remove unused local volumes',
    load: async () => (await import('./commands/volume/prune.ts')).prune,
  },
  {
    paths: ['volume rm', 'volume remove'],
    summary: 'Remove one or more volumes. You cannot remove a volume that is in use by a container.',
    load: async () => (await import('./commands/volume/rm.ts')).rm,
  },
  {
    paths: ['volume clone'],
    summary: 'Copy a volume to a new one',
    load: async () => (await import('./commands/volume/clone.ts')).clone,
  },
  {
    paths: ['volume export'],
    summary: 'Write the files of a volume as a tar archive',
    load: async () => (await import('./commands/volume/export.ts')).exportVolume,
  },
  {
    paths: ['volume import'],
    summary: 'Fill a new or empty volume from a tar archive',
    load: async () => (await import('./commands/volume/import.ts')).importVolume,
  },
  {
    paths: ['volume rename'],
    summary: 'Rename a volume',
    load: async () => (await import('./commands/volume/rename.ts')).rename,
  },
  {
    paths: ['volume snapshot'],
    summary: 'Copy a volume to one named by the time',
    load: async () => (await import('./commands/volume/snapshot.ts')).snapshot,
  },
  // the engine
  {
    paths: ['version'],
    summary: 'Show the version information of client and engine',
    common: true,
    load: async () => (await import('./commands/system/version.ts')).version,
  },
  {
    paths: ['system info', 'info'],
    summary: 'Display system-wide information',
    common: true,
    load: async () => (await import('./commands/system/info.ts')).info,
  },
  {
    paths: ['system events', 'events'],
    summary: 'Get real time events from the server',
    load: async () => (await import('./commands/system/events.ts')).events,
  },
  {
    paths: ['inspect'],
    summary: 'Return low-level information on Docker objects',
    load: async () => (await import('./commands/system/inspect.ts')).inspect,
  },
  { paths: ['system df'], summary: 'Show disk usage', load: async () => (await import('./commands/system/df.ts')).df },
  {
    paths: ['system prune'],
    summary: 'Remove unused data',
    load: async () => (await import('./commands/system/prune.ts')).prune,
  },
  {
    paths: ['system start'],
    summary: 'Start the engine in the background',
    load: async () => (await import('./commands/system/start.ts')).start,
  },
  {
    paths: ['system stop'],
    summary: 'Stop the engine that runs in the background; containers go on',
    load: async () => (await import('./commands/system/stop.ts')).stop,
  },
  {
    paths: ['system status'],
    summary: 'Say whether the engine runs, and where',
    load: async () => (await import('./commands/system/status.ts')).status,
  },
  {
    paths: ['system install'],
    summary: 'Install the engine as a systemd service',
    load: async () => (await import('./commands/system/install.ts')).install,
  },
  {
    paths: ['system dial-stdio'],
    summary: 'Proxy the stdio stream to the engine',
    hidden: true,
    load: async () => (await import('./commands/system/dial-stdio.ts')).dialStdio,
  },
  {
    paths: ['context create'],
    summary: 'Create a context',
    load: async () => (await import('./commands/context/create.ts')).create,
  },
  {
    paths: ['context inspect'],
    summary: 'Display detailed information on one or more contexts',
    load: async () => (await import('./commands/context/inspect.ts')).inspect,
  },
  {
    paths: ['context ls', 'context list'],
    summary: 'List contexts',
    load: async () => (await import('./commands/context/ls.ts')).ls,
  },
  {
    paths: ['context rm', 'context remove'],
    summary: 'Remove one or more contexts',
    load: async () => (await import('./commands/context/rm.ts')).rm,
  },
  {
    paths: ['context show'],
    summary: 'Print the name of the current context',
    load: async () => (await import('./commands/context/show.ts')).show,
  },
  {
    paths: ['context update'],
    summary: 'Update a context',
    load: async () => (await import('./commands/context/create.ts')).update,
  },
  {
    paths: ['context use'],
    summary: 'Set the current context',
    load: async () => (await import('./commands/context/use.ts')).use,
  },
  // help
  {
    paths: ['dashboard'],
    summary: 'Serve a page about the engine to a browser of this machine',
    load: async () => (await import('./commands/dashboard.ts')).dashboard,
  },
  {
    paths: ['labs'],
    summary: 'Learn by doing: documents whose commands are run, step by step',
    load: async () => (await import('./commands/labs.ts')).labs,
  },
  {
    paths: ['demo'],
    summary: 'Build, run, look into and remove a small web app, each command shown',
    common: true,
    load: async () => (await import('./commands/demo.ts')).demo,
  },
  {
    paths: ['completion'],
    summary: 'Generate the autocompletion script for bash, zsh or fish',
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  {
    paths: ['__complete'],
    summary: 'Words that may come next, for completion scripts',
    hidden: true,
    load: async () => (await import('./commands/completion.ts')).complete,
  },
];

/** The command that `path` (`container run`) calls. */
export function findCommand(path: string): Entry | undefined {
  return COMMANDS.find((entry) => entry.paths.includes(path));
}

export function findGroup(name: string): Group | undefined {
  return GROUPS.find((group) => group.name === name);
}

/** What stands in a group's help: each command once, by its first name there. */
export function commandsIn(group: string): { name: string; entry: Entry }[] {
  return COMMANDS.filter((entry) => entry.hidden !== true)
    .flatMap((entry) => {
      const path = entry.paths.find((candidate) => candidate.startsWith(`${group} `));
      return path === undefined ? [] : [{ name: path.slice(group.length + 1), entry }];
    })
    .sort((a, b) => compareText(a.name, b.name));
}

/** What can be called without a group. */
export function topCommands(): { name: string; entry: Entry }[] {
  return COMMANDS.filter((entry) => entry.hidden !== true).flatMap((entry) => {
    const name = entry.paths.find((path) => !path.includes(' '));
    return name === undefined ? [] : [{ name, entry }];
  });
}
