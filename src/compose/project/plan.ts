import { serviceHash } from '../model/hash.ts';
import { asDict, asText } from '../model/value.ts';
import { ON_UNHEALTHY_LABEL } from '../../api/gantry.ts';
import { onUnhealthy } from './support.ts';
import { LABEL } from './labels.ts';
import type { Observed } from './observe.ts';
import { type Project, type Service, sharedServices } from './project.ts';

/** What is to become of one container, and why. */
export type Step =
  | {
      readonly kind: 'create';
      readonly service: string;
      readonly number: number;
      readonly name: string;
      readonly reason: string;
    }
  | {
      readonly kind: 'recreate';
      readonly service: string;
      readonly number: number;
      readonly name: string;
      readonly old: Observed;
      readonly reason: string;
    }
  | {
      readonly kind: 'keep';
      readonly service: string;
      readonly name: string;
      readonly old: Observed;
      readonly reason: string;
    }
  | {
      readonly kind: 'remove';
      readonly service: string;
      readonly name: string;
      readonly old: Observed;
      readonly reason: string;
    };

export interface PlanOptions {
  readonly services: ReadonlyMap<string, Service>;
  /** Ids of the images by service; a service without one has no image yet. */
  readonly images: ReadonlyMap<string, string>;
  /** Ids of the project's networks by their key in the file; one that is yet to be made has none. */
  readonly networks: ReadonlyMap<string, string>;
  readonly containers: readonly Observed[];
  readonly recreate: 'diverged' | 'force' | 'never';
  /** For services that nobody named and others only depend on. */
  readonly recreateDependencies?: 'diverged' | 'force' | 'never';
  readonly named?: ReadonlySet<string>;
}

/** Compares what should be with what is, service by service, dependencies first. Changes nothing. */
export function planContainers(project: Project, options: PlanOptions): Step[] {
  const steps: Step[] = [];
  const renewed = new Set<string>();
  for (const service of inOrder(options.services)) {
    const existing = options.containers.filter((item) => item.service === service.name);
    // What runs, and what is as it should be, stays before what does not.
    const hash = serviceHash(service.model);
    const ranked = [...existing].sort(
      (a, b) => rank(b, hash) - rank(a, hash) || a.number - b.number || (isTemporary(a.name) ? 1 : -1),
    );
    // Two of one number: an update was interrupted.
    const numbers = new Set<number>();
    const [chosen, doubles]: [Observed[], Observed[]] = [[], []];
    for (const item of ranked) {
      (numbers.has(item.number) ? doubles : chosen).push(item);
      numbers.add(item.number);
    }
    const kept = chosen.slice(0, service.replicas).sort((a, b) => a.number - b.number);
    for (const old of doubles)
      steps.push({
        kind: 'remove',
        service: service.name,
        name: old.name,
        old,
        reason: 'left by an update that was interrupted',
      });
    for (const old of chosen.slice(service.replicas))
      steps.push({
        kind: 'remove',
        service: service.name,
        name: old.name,
        old,
        reason: `${service.replicas} of ${chosen.length} are wanted`,
      });
    const mode =
      options.named && !options.named.has(service.name)
        ? (options.recreateDependencies ?? options.recreate)
        : options.recreate;
    for (const old of kept) {
      const reason =
        mode === 'never'
          ? undefined
          : (whyRecreate(service, old, hash, options) ??
            sharedReason(service, renewed) ??
            (mode === 'force' ? 'it was asked for' : undefined));
      if (reason === undefined)
        steps.push({
          kind: 'keep',
          service: service.name,
          name: isTemporary(old.name) ? nameOf(project, service, old.number) : old.name,
          old,
          reason: 'up to date',
        });
      else {
        renewed.add(service.name);
        steps.push({
          kind: 'recreate',
          service: service.name,
          number: old.number,
          name: nameOf(project, service, old.number),
          old,
          reason,
        });
      }
    }
    let number = 0;
    const used = new Set(kept.map((item) => item.number));
    for (let missing = service.replicas - kept.length; missing > 0; missing--) {
      do number++;
      while (used.has(number));
      steps.push({
        kind: 'create',
        service: service.name,
        number,
        name: nameOf(project, service, number),
        reason: 'it does not exist',
      });
    }
  }
  return steps;
}

export function nameOf(project: Project, service: Service, number: number): string {
  return asText(service.model['container_name']) ?? `${project.name}-${service.name}-${number}`;
}

/** Dependencies before those that need them. */
export function inOrder(services: ReadonlyMap<string, Service>): Service[] {
  const out: Service[] = [];
  const seen = new Set<string>();
  const visit = (service: Service): void => {
    if (seen.has(service.name)) return;
    seen.add(service.name);
    for (const name of [...service.dependencies.keys()].sort()) {
      const other = services.get(name);
      if (other) visit(other);
    }
    out.push(service);
  };
  for (const name of [...services.keys()].sort()) visit(services.get(name)!);
  return out;
}

/** Docker's name of a container that is to take another's place. */
export function isTemporary(name: string): boolean {
  return /^[0-9a-f]{12}_/.test(name);
}

function rank(item: Observed, hash: string): number {
  return (item.summary.State === 'running' ? 2 : 0) + (item.summary.Labels[LABEL.configHash] === hash ? 1 : 0);
}

function whyRecreate(service: Service, old: Observed, hash: string, options: PlanOptions): string | undefined {
  const { Labels: labels } = old.summary;
  if (labels[LABEL.configHash] !== hash) return 'its configuration has changed';
  if (labels[ON_UNHEALTHY_LABEL] !== onUnhealthy(service)) return 'what happens when it is unhealthy has changed';
  const image = options.images.get(service.name);
  const had = labels[LABEL.image] ?? old.summary.ImageID;
  if (image !== undefined && had !== '' && had !== image) return 'its image has changed';
  const connected = Object.values(old.summary.NetworkSettings.Networks).map((endpoint) => endpoint.NetworkID);
  for (const key of Object.keys(asDict(service.model['networks']))) {
    const id = options.networks.get(key);
    // A container that does not run may not know the ids of its networks.
    if (id === undefined) return `network ${key} is made anew`;
    if (old.summary.State === 'running' && !connected.includes(id)) return `it is not on network ${key}`;
  }
  return undefined;
}

function sharedReason(service: Service, renewed: ReadonlySet<string>): string | undefined {
  const other = sharedServices(service).find((name) => renewed.has(name));
  return other === undefined ? undefined : `it shares namespaces or volumes with ${other}, which is made anew`;
}
