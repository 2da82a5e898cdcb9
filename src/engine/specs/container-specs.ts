import { hostname } from 'node:os';
import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { mkdirAllInRoot } from '../../linux/rooted.ts';
import { buildSpec } from '../../runtime/spec/build.ts';
import { execProcess } from '../../runtime/spec/exec.ts';
import { findInitBinary } from '../../runtime/spec/init.ts';
import type { LinuxResources, OciSpec, ProcessSpec } from '../../runtime/spec/oci-spec.ts';
import { containerHostname, processDirectory } from '../../runtime/spec/process.ts';
import { linuxResources } from '../../runtime/spec/resources.ts';
import { readUserFiles, resolveUser } from '../../runtime/spec/user.ts';
import { validateCreate, type ValidationFacts } from '../../runtime/spec/validate.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { bindWarnings } from '../volumes/bind-warnings.ts';
import type { ContainerSpecs, ExecProcessRequest, SpecRequest } from '../containers/parts.ts';

export interface EngineSpecsOptions {
  readonly host: HostFacts;
  /** Names of the configured OCI runtimes. */
  readonly runtimes: readonly string[];
  /** The cgroup below which containers are, when they do not say. */
  readonly cgroupParent: string;
}

/** From records to the runtime's documents: reads the container's own files and makes its working directory. */
export class EngineSpecs implements ContainerSpecs {
  readonly #host: HostFacts;
  readonly #facts: ValidationFacts;
  readonly #cgroupParent: string;
  readonly #initBinary: string | undefined;

  constructor(options: EngineSpecsOptions) {
    this.#host = options.host;
    this.#cgroupParent = options.cgroupParent;
    this.#initBinary = findInitBinary();
    this.#facts = { host: options.host, runtimes: options.runtimes, hasInit: this.#initBinary !== undefined };
  }

  check(config: ContainerConfig, hostConfig: HostConfig): readonly string[] {
    const { warnings } = validateCreate({ ...config, HostConfig: hostConfig }, this.#facts);
    return [...warnings, ...bindWarnings(hostConfig, this.#host)];
  }

  async build(request: SpecRequest): Promise<OciSpec> {
    const { record, rootfs, network, mounts } = request;
    const { config, hostConfig } = record;
    const { files } = network;
    makeWorkingDirectory(rootfs, config.WorkingDir);
    const { spec } = buildSpec({
      id: record.id,
      config: { ...config, Env: [...network.env, ...(config.Env ?? [])] },
      hostConfig,
      host: this.#host,
      hostHostname: hostname(),
      rootfs,
      user: resolveUser(config.User ?? '', hostConfig.GroupAdd ?? [], readUserFiles(rootfs)),
      mounts: mounts.mounts,
      files: [
        { destination: '/etc/resolv.conf', source: files.resolvConf },
        { destination: '/etc/hostname', source: files.hostname },
        { destination: '/etc/hosts', source: files.hosts },
      ].filter((file) => file.source !== ''),
      network: network.namespace,
      joins: request.joins,
      shm: mounts.shm,
      initBinary: this.#initBinary,
      cgroupParent: this.#cgroupParent,
    });
    return spec;
  }

  async process(record: ContainerRecord, rootfs: string, request: ExecProcessRequest): Promise<ProcessSpec> {
    const { config, hostConfig } = record;
    return execProcess({
      ...request,
      user: resolveUser(request.user || (config.User ?? ''), hostConfig.GroupAdd ?? [], readUserFiles(rootfs)),
      config,
      hostname: containerHostname(record.id, config, hostConfig, hostname()),
      hostConfig,
      host: this.#host,
    });
  }

  async user({ config, hostConfig }: ContainerRecord, rootfs: string): Promise<{ uid: number; gid: number }> {
    const { uid, gid } = resolveUser(config.User ?? '', hostConfig.GroupAdd ?? [], readUserFiles(rootfs));
    return { uid, gid };
  }

  resources(hostConfig: HostConfig): LinuxResources {
    return linuxResources(hostConfig, this.#host.cgroup);
  }
}

/** An image's WORKDIR need not exist: it is made, as root's. Throws `invalid-argument` when something else is there. */
function makeWorkingDirectory(rootfs: string, workingDir: string | undefined): void {
  const directory = processDirectory(workingDir);
  if (directory === '/') return;
  try {
    mkdirAllInRoot(rootfs, directory);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOTDIR') throw error;
    throw new EngineError('invalid-argument', `Cannot mkdir: ${directory} is not a directory`, { cause: error });
  }
}
