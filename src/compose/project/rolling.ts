import { setTimeout as sleep } from 'node:timers/promises';
import type { PortBinding } from '../../api/network.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { parseDuration } from '../model/units.ts';
import { asDict, asText, type Dict, textOf } from '../model/value.ts';
import type { OnProgress } from './progress.ts';
import type { Service } from './project.ts';
import type { Step } from './plan.ts';

/** `deploy.update_config`, with the specification's defaults. */
export interface UpdatePolicy {
  /** Containers at once; 0 is all. */
  readonly parallelism: number;
  readonly delayMs: number;
  readonly startFirst: boolean;
  readonly onFailure: 'pause' | 'continue' | 'rollback';
  /** How long a container without a health check must run. */
  readonly monitorMs: number;
  readonly maxFailureRatio: number;
  readonly rollback: RollbackPolicy;
}

/** `deploy.rollback_config`: how an update is taken back. */
export interface RollbackPolicy extends Omit<UpdatePolicy, 'onFailure' | 'rollback'> {
  readonly onFailure: 'pause' | 'continue';
}

/** Undefined for a service that says nothing about its updates: its containers are replaced all at once. */
export function updatePolicy(service: Service): UpdatePolicy | undefined {
  const deploy = asDict(service.model['deploy']);
  const given = deploy['update_config'];
  if (given === undefined || given === null) return undefined;
  const update = policyOf(given as Dict);
  const back = deploy['rollback_config'];
  return {
    ...update,
    // Without words of its own as the update went, and what fails does not keep the others from coming back.
    rollback:
      back === undefined || back === null
        ? { ...update, parallelism: 1, delayMs: 0, monitorMs: 0, maxFailureRatio: 0, onFailure: 'continue' }
        : {
            ...policyOf(back as Dict),
            onFailure: asDict(back)['failure_action'] === 'continue' ? 'continue' : 'pause',
          },
  };
}

function policyOf(config: Dict): Omit<UpdatePolicy, 'rollback'> {
  const ms = (key: string): number => (config[key] === undefined ? 0 : parseDuration(textOf(config[key])) / 1e6);
  return {
    parallelism: Number(config['parallelism'] ?? 1),
    delayMs: ms('delay'),
    startFirst: config['order'] === 'start-first',
    onFailure: (asText(config['failure_action']) ?? 'pause') as UpdatePolicy['onFailure'],
    monitorMs: ms('monitor'),
    maxFailureRatio: Number(config['max_failure_ratio'] ?? 0),
  };
}

export type Replacement = Step & { readonly kind: 'recreate' };

type Ports = Record<string, PortBinding[]>;

interface Updated {
  readonly step: Replacement;
  readonly id: string;
  readonly ports: Ports;
  readonly oldPorts: Ports;
}

/** How containers are made and brought up; the update says when. */
export interface Hands {
  /** Makes one that does not run. `withoutPorts` of the host: an older one holds them still. */
  make(step: Replacement, name: string, withoutPorts: boolean): Promise<{ id: string; ports: Ports }>;
  start(id: string): Promise<void>;
  /** Until it is healthy, or runs where it has no health check. Throws when it falls ill or ends. */
  ready(id: string): Promise<void>;
  stop(step: Replacement): Promise<void>;
}

/**
 * Replaces a service's containers in batches. A new one must be well before its old one goes; the old ones are kept,
 * stopped, until the whole update is through, so that it can be taken back. What an interrupted update leaves is for the
 * next `up` to sort out: two containers of one number, of which it keeps the one that is as it should be.
 */
export class RollingUpdate {
  readonly #client: Client;
  readonly #policy: UpdatePolicy;
  readonly #hands: Hands;
  readonly #onProgress: OnProgress;
  readonly #done: Updated[] = [];

  constructor(client: Client, policy: UpdatePolicy, hands: Hands, onProgress: OnProgress) {
    this.#client = client;
    this.#policy = policy;
    this.#hands = hands;
    this.#onProgress = onProgress;
  }

  /** Gives the ids of the new containers. Throws when the update was not carried through; what runs then, runs well. */
  async run(service: string, steps: readonly Replacement[]): Promise<string[]> {
    const size = this.#policy.parallelism === 0 ? steps.length : this.#policy.parallelism;
    let failures = 0;
    let last: unknown;
    for (let at = 0; at < steps.length; at += size) {
      if (at > 0 && this.#policy.delayMs > 0) await sleep(this.#policy.delayMs);
      const results = await Promise.allSettled(steps.slice(at, at + size).map((step) => this.#replace(step)));
      for (const result of results)
        if (result.status === 'rejected') {
          failures++;
          last = result.reason;
        }
      if (failures === 0 || failures / steps.length <= this.#policy.maxFailureRatio) continue;
      if (this.#policy.onFailure === 'continue') continue;
      const reason = errorMessage(last);
      if (this.#policy.onFailure === 'rollback') {
        const left = await this.#takeBack();
        const how = left === undefined ? 'was rolled back' : `its rollback did, too (${left})`;
        throw new EngineError('conflict', `update of ${service} failed and ${how}: ${reason}`);
      }
      await this.#dropOld();
      throw new EngineError(
        'conflict',
        `update of ${service} paused after ${this.#done.length} of ${steps.length} containers: ${reason}`,
      );
    }
    await this.#dropOld();
    if (failures > 0)
      this.#onProgress({ kind: 'Service', name: service, status: `${failures} of ${steps.length} not updated` });
    return this.#done.map(({ id }) => id);
  }

  async #replace(step: Replacement): Promise<void> {
    const { old } = step;
    const { startFirst } = this.#policy;
    const oldPorts = fixedPorts((await this.#client.containers.inspect(old.id)).NetworkSettings.Ports ?? {});
    const held = startFirst && Object.keys(oldPorts).length > 0;
    this.#onProgress({ kind: 'Container', name: step.name, status: 'Updating', reason: step.reason });
    if (!startFirst) {
      await this.#hands.stop(step);
      await this.#client.containers.rename(old.id, asideName(step));
    }
    let id: string | undefined;
    let ports: Ports = {};
    try {
      const made = await this.#hands.make(step, startFirst ? newName(step) : step.name, held);
      ({ id, ports } = made);
      await this.#hands.start(id);
      await this.#ready(id, this.#policy.monitorMs);
      if (held && Object.keys(ports).length > 0) await this.#movePorts(old.id, oldPorts, id, ports);
    } catch (error) {
      if (id !== undefined) await this.#client.containers.remove(id, { force: true }).catch(unlessGone);
      if (!startFirst) {
        await this.#client.containers.rename(old.id, step.name);
        await this.#client.containers.start(old.id).catch(unlessGone);
      }
      this.#onProgress({ kind: 'Container', name: step.name, status: 'Error', reason: errorMessage(error) });
      throw error;
    }
    if (startFirst) {
      await this.#client.containers.rename(old.id, asideName(step));
      await this.#client.containers.rename(id, step.name);
      await this.#hands.stop(step);
    }
    this.#done.push({ step, id, ports, oldPorts });
    this.#onProgress({ kind: 'Container', name: step.name, status: 'Updated' });
  }

  async #ready(id: string, monitorMs: number): Promise<void> {
    await this.#hands.ready(id);
    if (monitorMs === 0) return;
    await sleep(monitorMs);
    await this.#hands.ready(id);
  }

  /** A port of the host can be published once: it goes over when the new container is well. */
  async #movePorts(from: string, had: Ports, to: string, wanted: Ports): Promise<void> {
    await this.#client.containers.changePorts(from, { Remove: had });
    try {
      await this.#client.containers.changePorts(to, { Add: wanted });
    } catch (error) {
      await this.#client.containers.changePorts(from, { Add: had });
      throw error;
    }
  }

  /** The other way round, the last first. Gives what went wrong; then the old ones that are not back are gone. */
  async #takeBack(): Promise<string | undefined> {
    const { parallelism, delayMs, maxFailureRatio, onFailure } = this.#policy.rollback;
    const updated = this.#done.toReversed();
    const size = parallelism === 0 ? updated.length : parallelism;
    const failures: unknown[] = [];
    for (let at = 0; at < updated.length; at += size) {
      if (at > 0 && delayMs > 0) await sleep(delayMs);
      const results = await Promise.allSettled(updated.slice(at, at + size).map((one) => this.#takeOneBack(one)));
      failures.push(...results.filter((one) => one.status === 'rejected').map((one): unknown => one.reason));
      if (failures.length === 0 || failures.length / updated.length <= maxFailureRatio || onFailure === 'continue')
        continue;
      for (const { step } of updated.slice(at + size))
        await this.#client.containers.remove(step.old.id, { force: true }).catch(unlessGone);
      break;
    }
    return failures.length === 0 ? undefined : errorMessage(failures[0]);
  }

  async #takeOneBack({ step, id, oldPorts }: Updated): Promise<void> {
    const { old, name } = step;
    const { startFirst, monitorMs } = this.#policy.rollback;
    // Two cannot have one port of the host.
    const fixed = Object.keys(oldPorts).length > 0;
    this.#onProgress({ kind: 'Container', name, status: 'Rolling back' });
    if (!startFirst || fixed) await this.#client.containers.remove(id, { force: true }).catch(unlessGone);
    await this.#client.containers.start(old.id).catch(unlessGone);
    // Its ports were taken from it for the new one.
    if (this.#policy.startFirst && fixed) await this.#client.containers.changePorts(old.id, { Add: oldPorts });
    await this.#ready(old.id, monitorMs);
    await this.#client.containers.remove(id, { force: true }).catch(unlessGone);
    await this.#client.containers.rename(old.id, name);
    this.#onProgress({ kind: 'Container', name, status: 'Rolled back' });
  }

  async #dropOld(): Promise<void> {
    for (const { step } of this.#done)
      await this.#client.containers.remove(step.old.id, { force: true }).catch(unlessGone);
  }
}

/** Docker's name of a container that is to take another's place. */
function newName({ old, name }: Replacement): string {
  return `${old.id.slice(0, 12)}_${name}`;
}

function asideName({ old, name }: Replacement): string {
  return `${old.id.slice(0, 12)}_old_${name}`;
}

/** Bindings to ports of the host that were named: two cannot have them. */
export function fixedPorts(bindings: Readonly<Record<string, readonly PortBinding[] | null>>): Ports {
  const out: Ports = {};
  for (const [port, all] of Object.entries(bindings)) {
    const fixed = (all ?? []).filter((binding) => (binding.HostPort ?? '') !== '' && binding.HostPort !== '0');
    if (fixed.length > 0) out[port] = fixed;
  }
  return out;
}

function unlessGone(error: unknown): void {
  if (!['not-found', 'not-modified'].includes(errorCode(error))) throw error;
}
