import { EngineError } from '../../base/errors.ts';
import { type ContainerContext, findContainer } from './context.ts';
import type { Outcome } from './live.ts';
import { countsAsRunning } from './state.ts';

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** Registers at once, so that nothing started afterwards is missed. The outcome rejects with the reason of `signal`. */
export async function waitForContainer(
  context: ContainerContext,
  nameOrId: string,
  condition: WaitCondition,
  signal?: AbortSignal,
): Promise<{ outcome: Promise<Outcome> }> {
  const record = findContainer(context, nameOrId);
  const live = context.live.of(record.id);
  const outcome = (promise: Promise<Outcome>): { outcome: Promise<Outcome> } => {
    promise.catch(() => {}); // the caller may never look at it
    return { outcome: promise };
  };
  switch (condition) {
    case 'next-exit':
      return outcome(live.nextExit.wait(signal));
    case 'removed':
      return outcome(live.removed.wait(signal));
    case 'not-running': {
      if (countsAsRunning(record.state)) return outcome(live.nextExit.wait(signal));
      const { exitCode, error } = record.state;
      return outcome(Promise.resolve({ exitCode, ...(error !== '' && { error }) }));
    }
    default:
      throw new EngineError('invalid-argument', `invalid condition: ${JSON.stringify(condition)}`);
  }
}
