import type { ImageInspect, ImageInspectConfig } from '../../api/image.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import type { ImageRecord } from '../../state/images.ts';
import { chainsOf } from '../gc.ts';
import { familiarNames } from './names.ts';
import type { ImageParts } from './parts.ts';
import { imagePlatform } from './resolve.ts';

/** What Docker calls the driver that works as ours does; clients look for the name. */
export const GRAPH_DRIVER = 'overlay2';

/** `docker image inspect` */
export function inspectImage(parts: ImageParts, image: ImageRecord): ImageInspect {
  const { config } = image;
  const names = familiarNames(parts, image.id);
  const platform = imagePlatform(image);
  return {
    Id: image.id,
    RepoTags: names.tags,
    RepoDigests: names.digests,
    Parent: image.parent ?? '',
    Comment: config.comment ?? config.history?.at(-1)?.comment ?? '',
    ...(config.created !== undefined && { Created: config.created }),
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Architecture: platform.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: platform.os,
    ...(config['os.version'] && { OsVersion: config['os.version'] }),
    Size: image.size,
    GraphDriver: { Data: layerDirectories(parts, image), Name: GRAPH_DRIVER },
    RootFS: { Type: 'layers', ...(config.rootfs.diff_ids.length > 0 && { Layers: [...config.rootfs.diff_ids] }) },
    Metadata: { LastTagTime: image.lastTaggedAt },
    Config: inspectConfig(config.config ?? {}),
  };
}

/** The fields that Docker always shows, empty ones as null, and those that are set; in the order of their names. */
function inspectConfig(config: ImageRunConfig): ImageInspectConfig {
  const { User, Env, Cmd, Volumes, WorkingDir, Entrypoint, OnBuild, Labels } = config;
  const { ExposedPorts, Healthcheck, ArgsEscaped, StopSignal, Shell } = config;
  return {
    ...(ArgsEscaped && { ArgsEscaped }),
    Cmd: filled(Cmd),
    Entrypoint: filled(Entrypoint),
    Env: filled(Env),
    ...(filled(ExposedPorts) && { ExposedPorts }),
    ...(Healthcheck && { Healthcheck }),
    Labels: filled(Labels),
    OnBuild: filled(OnBuild),
    ...(filled(Shell) && { Shell }),
    ...(StopSignal && { StopSignal }),
    User: User ?? '',
    Volumes: filled(Volumes),
    WorkingDir: WorkingDir ?? '',
  } as ImageInspectConfig;
}

function filled<T extends object>(value: T | null | undefined): T | null {
  return value && Object.keys(value).length > 0 ? value : null;
}

/** Where the layers' files are, as overlay would mount them. */
function layerDirectories(parts: ImageParts, image: ImageRecord): Record<string, string> | null {
  const present = chainsOf(image.config).filter((chain) => parts.snapshotter.stat(chain) !== undefined);
  const [top, ...below] = present.toReversed().map((chain) => parts.snapshotter.changesDir(chain));
  if (top === undefined) return null;
  return { ...(below.length > 0 && { LowerDir: below.join(':') }), UpperDir: top };
}
