import { useCallback, useEffect, useState } from 'preact/hooks';
import { jsonStream } from './api.ts';

export interface EngineEvent {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Record<string, string> };
  readonly time: number;
  readonly timeNano: number;
}

type Listener = (event: EngineEvent) => void;
const listeners = new Set<Listener>();
/** The newest ones, for the page that shows them. */
export const recent: EngineEvent[] = [];
const MOST_RECENT = 500;

/** Follows the engine's events for the whole page, for ever: one connection, whatever is shown. */
export async function followEvents(): Promise<void> {
  for (;;) {
    try {
      for await (const event of jsonStream<EngineEvent>('/events', new AbortController().signal)) {
        recent.unshift(event);
        recent.length = Math.min(recent.length, MOST_RECENT);
        for (const listener of listeners) listener(event);
      }
    } catch {
      // the engine is away: it is asked again
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

export function useEvents(listener: Listener): void {
  useEffect(() => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, [listener]);
}

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: string;
  readonly reload: () => void;
}

/** What `load` gives, loaded again a moment after an event of one of the `types`. */
export function useLoaded<T>(
  load: () => Promise<T>,
  types: readonly string[],
  keys: readonly unknown[] = [],
): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [error, setError] = useState('');
  const reload = useCallback(() => {
    load().then(
      (found) => {
        setValue(() => found);
        setError('');
      },
      (failure: unknown) => setError((failure as Error).message),
    );
  }, keys);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const listener: Listener = (event) => {
      if (!types.includes(event.Type) || event.Action.startsWith('exec_')) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        reload();
      }, 250);
    };
    reload();
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      clearTimeout(timer);
    };
  }, [reload]);
  return { value, error, reload };
}
