import type { ContainerConfig, HostConfig, NetworkSettings } from '../../api/container.ts';
import type { EndpointSettings } from '../../api/network.ts';
import type { ContainerIds, NetworkAttachment } from '../../state/containers.ts';
import type { PortChange } from './published-ports.ts';

/**
 * What running containers need of networks. The containers service calls it around each run:
 *
 *     check      at create                      nothing is changed on the host
 *     prepare    before the runtime's `create`  namespace, addresses, ports, files are ready when it resolves
 *     started    once the pid is known
 *     release    at exit, or after a failed start; idempotent
 *     adopt      for every container that still runs, after an engine's restart; then `recovered` once
 *
 * Nothing is written to the database here: what must be known after a restart is the `NetworkAttachment`, plain JSON,
 * which the container's record keeps from `prepare` until `release`. A namespace has no name on disk, only a file
 * descriptor of the engine until the container's processes hold it: a crash in between leaves nothing.
 */
export interface Networking {
  /** Warnings for the create response. Throws `not-found` (`network x not found`), `invalid-argument` (ports, addresses, modes). */
  check(container: NetworkedContainer): string[];
  /** Whether what a mode names is there: a network, another container. Throws `not-found` in the words of `prepare`. */
  checkMode(hostConfig: Pick<HostConfig, 'NetworkMode'>): void;
  /** Throws `conflict`/`internal` with Docker's words (`failed to set up container networking: …`) and then leaves nothing. */
  prepare(container: NetworkedContainer, signal?: AbortSignal): Promise<PreparedNetwork>;
  /** The container's first process runs, in the prepared namespace. */
  started(containerId: string, pid: number): void;
  /** Frees addresses and ports at once, and resolves when the rules are gone; the kernel takes the interfaces away in its own time. */
  release(containerId: string): Promise<void>;
  /**
   * Takes back what an earlier engine's `prepare` gave to a container that still runs. `held` gives a copy of a descriptor of
   * `PreparedNetwork.keep`, by its name in /proc.
   */
  adopt(
    container: NetworkedContainer,
    pid: number,
    attachment: NetworkAttachment,
    held?: (name: string) => number | undefined,
  ): Promise<void>;
  /** All running containers have been adopted: rules are made to match, in one transaction, and what is nobody's is removed. */
  recovered(): Promise<void>;
  /** `NetworkSettings` of inspect; without an attachment, of a container that does not run. */
  settings(container: NetworkedContainer, attachment: NetworkAttachment | undefined, pid: number): NetworkSettings;
  /**
   * Changes the published ports of a container that runs, and gives its attachment as it is now. On failure nothing is
   * changed. Throws `conflict`.
   */
  changePorts(containerId: string, change: PortChange): Promise<NetworkAttachment>;
  /** The container was renamed: names in DNS follow. */
  renamed(containerId: string, name: string): void;
}

/** What `Networking` reads of a container's record. */
export interface NetworkedContainer {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** `NetworkingConfig.EndpointsConfig` of the create request, by network name or id; changed by connect and disconnect. */
  readonly networks: Readonly<Record<string, EndpointSettings>>;
  /** Ids of a user namespace of its own; undefined: the host's. */
  readonly ids?: ContainerIds | undefined;
  /** Directory of the container's own files below the data root, where hosts, hostname and resolv.conf are written. */
  readonly directory: string;
}

/** What the networks service needs of the containers service. */
export interface ContainerDirectory {
  /** By id, name or prefix. Throws `not-found`. */
  find(
    nameOrId: string,
  ): NetworkedContainer & { readonly pid: number; readonly attachment: NetworkAttachment | undefined };
  /** Every container, running or not. */
  all(): Iterable<NetworkedContainer>;
  /** Writes the container's `networks` and `attachment` after a connect or disconnect, which is `change`, or after its ports changed. */
  save(
    containerId: string,
    networks: Readonly<Record<string, EndpointSettings>>,
    attachment: NetworkAttachment | undefined,
    change?: NetworkChange,
  ): void;
}

/** For what is recorded of the container. */
export interface NetworkChange {
  readonly kind: 'connected' | 'disconnected';
  /** By name. */
  readonly network: string;
}

export interface PreparedNetwork {
  /** For `linux.namespaces` of the spec: a path to join, `new` for one that the runtime makes (loopback up), or the host's own. */
  readonly namespace: { readonly path: string } | 'new' | 'host';
  /** Whose the namespace is, when it is not the host's. */
  readonly userNamespace?: string | undefined;
  /** Host paths to be bind mounted on /etc/hosts, /etc/hostname, /etc/resolv.conf. */
  readonly files: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
  readonly attachment: NetworkAttachment;
  /** Descriptors that its monitor is to hold as long as it runs: what waits in them is for the next engine, too. */
  readonly keep: readonly number[];
  /** Variables of `--link`, to be put before the container's own. */
  readonly env: readonly string[];
  readonly warnings: readonly string[];
  /**
   * Resolves when the kernel has the rules: the container's process is made meanwhile, and let run after that. Rejects as
   * `prepare` does; who does not wait for it need not mind.
   */
  readonly ready: Promise<void>;
}
