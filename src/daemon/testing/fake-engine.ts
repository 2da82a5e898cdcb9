import { EngineError } from '../../base/errors.ts';
import type { EngineServices } from '../../engine/engine.ts';

export type Overrides = { readonly [S in keyof EngineServices]?: Partial<EngineServices[S]> };

/** An engine that has only the methods a test gives it. */
export function fakeEngine(overrides: Overrides = {}): EngineServices {
  const service = (name: string): unknown =>
    new Proxy((overrides as Record<string, object | undefined>)[name] ?? {}, {
      get: (methods, method) =>
        Reflect.get(methods, method) ??
        (async () => {
          throw new EngineError('unimplemented', `${name}.${String(method)} is not part of this test`);
        }),
    });
  return new Proxy({} as EngineServices, { get: (_, name) => service(String(name)) });
}
