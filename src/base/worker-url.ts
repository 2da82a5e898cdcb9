/**
 * Where the code of a worker thread is: `workerUrl('snapshot/apply-layer')` is `src/snapshot/apply-layer.worker.ts`
 * when run from source, and its bundled twin below `dist/` when run from the bundle (see `tools/bundle.ts`).
 */
export function workerUrl(name: string): URL {
  const here = import.meta.url;
  if (here.endsWith('.ts')) return new URL(`../${name}.worker.ts`, here);
  const dist = here.slice(0, here.lastIndexOf('/dist/') + '/dist/'.length);
  return new URL(`${name}.worker.js`, dist);
}
