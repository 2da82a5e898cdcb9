import type { ContainerFact, FactAuthor } from '../../api/why.ts';
import { presentCaller } from '../../base/caller.ts';
import { errorMessage } from '../../base/errors.ts';
import { now } from '../../base/time.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { ContainerContext } from './context.ts';

/** Of a container, the newest. */
const KEPT = 40;
const MAX_ERROR = 2000;

/** Who asks for what is being done now. To be called first thing, in the call that was asked for. */
export function presentAuthor(): FactAuthor {
  const caller = presentCaller();
  if (!caller) return { Kind: 'program' };
  const { request, agent, address, process } = caller;
  return {
    Kind: 'client',
    Request: request,
    ...(agent !== undefined && { Agent: agent }),
    ...(address !== undefined && { Address: address }),
    ...(process && {
      Pid: process.pid,
      Uid: process.uid,
      ...(process.command !== undefined && { Command: process.command }),
    }),
  };
}

export function byEngine(reason: string): FactAuthor {
  return { Kind: 'engine', Reason: reason };
}

/** The record with one more fact, of now: for those who are about to write it. */
export function withFact(record: ContainerRecord, fact: Omit<ContainerFact, 'At'>): ContainerRecord {
  const { Error: error } = fact;
  const bounded = error !== undefined && error.length > MAX_ERROR ? { Error: `${error.slice(0, MAX_ERROR)}…` } : {};
  return { ...record, facts: [...(record.facts ?? []), { At: now(), ...fact, ...bounded }].slice(-KEPT) };
}

/** Writes one more fact. It survives the engine's death; no failure of it keeps anything from being done. */
export function noteFact(context: ContainerContext, id: string, fact: Omit<ContainerFact, 'At'>): void {
  const record = context.store.get(id);
  if (!record) return;
  const noted = withFact(record, fact);
  try {
    context.store.updateRun(noted);
  } catch (error) {
    context.store.updateInMemory(noted); // the next change of the record writes it
    context.config.report(`container ${record.name}: a fact could not be written: ${errorMessage(error)}`);
  }
}
