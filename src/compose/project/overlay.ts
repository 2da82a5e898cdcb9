/** The object with some of its members replaced; private fields stay its own. */
export function overlay<T extends object>(real: T, changes: object): T {
  return new Proxy(real, {
    get(target, key) {
      if (Object.hasOwn(changes, key)) return (changes as Record<PropertyKey, unknown>)[key];
      const value = (target as Record<PropertyKey, unknown>)[key];
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}
