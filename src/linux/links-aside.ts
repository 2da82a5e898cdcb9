let last: Promise<unknown> = Promise.resolve();

/**
 * Starts what a thread of Node's pool does to links of the kernel, after those before it: the kernel does one at a time,
 * whatever the namespace, and threads that wait for it would be missed elsewhere.
 */
export function linksAside<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work);
  last = mine.catch(() => undefined);
  return mine;
}
