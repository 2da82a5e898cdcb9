import { EngineError } from '../base/errors.ts';
import { isDigest } from './digest.ts';
import type { ImageConfig } from './image.ts';

/** Layers of one image; what the kernel's overlay can stack is a little more. */
export const MAX_LAYERS = 125;

/**
 * Reads an image's document. It was written by strangers: every field that we use later is checked to be of its type, so
 * that nothing behind this has to. Unknown fields stay. Throws `corrupt`, `too-large` (`max depth exceeded`).
 */
export function parseImageConfig(text: string): ImageConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new EngineError('corrupt', 'invalid image configuration: not JSON', { cause: error });
  }
  const document = object(value, 'the document');
  for (const key of ['created', 'author', 'architecture', 'os', 'variant', 'os.version', 'comment', 'docker_version']) {
    optional(document[key], key, isText);
  }
  const rootfs = object(document['rootfs'], 'rootfs');
  const diffIds = rootfs['diff_ids'] ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every((id) => typeof id === 'string' && isDigest(id)))
    throw wrong('rootfs.diff_ids');
  if (diffIds.length > MAX_LAYERS) {
    throw new EngineError(
      'too-large',
      `max depth exceeded: the image has ${diffIds.length} layers, at most ${MAX_LAYERS} are possible`,
    );
  }
  checkHistory(document['history'], diffIds.length);
  if (document['config'] != null) checkRunConfig(object(document['config'], 'config'));
  // Go writes a list without items as null.
  return { ...document, rootfs: { type: 'layers', diff_ids: diffIds } } as unknown as ImageConfig;
}

function checkHistory(history: unknown, layers: number): void {
  if (history == null) return;
  if (!Array.isArray(history)) throw wrong('history');
  let filled = 0;
  for (const item of history) {
    const entry = object(item, 'history');
    for (const key of ['created', 'created_by', 'author', 'comment']) optional(entry[key], `history.${key}`, isText);
    optional(entry['empty_layer'], 'history.empty_layer', (flag) => typeof flag === 'boolean');
    if (entry['empty_layer'] !== true) filled++;
  }
  if (filled > layers)
    throw new EngineError('corrupt', 'invalid image configuration: history has more layers than rootfs');
}

function checkRunConfig(config: Record<string, unknown>): void {
  for (const key of ['User', 'WorkingDir', 'StopSignal']) optional(config[key], key, isText);
  for (const key of ['Env', 'Entrypoint', 'Cmd', 'OnBuild', 'Shell']) {
    optional(config[key], key, (list) => Array.isArray(list) && list.every(isText));
  }
  for (const key of ['ExposedPorts', 'Volumes']) optional(config[key], key, isObject);
  optional(config['Labels'], 'Labels', (labels) => isObject(labels) && Object.values(labels).every(isText));
  if (config['Healthcheck'] == null) return;
  const check = object(config['Healthcheck'], 'Healthcheck');
  optional(check['Test'], 'Healthcheck.Test', (test) => Array.isArray(test) && test.every(isText));
  for (const key of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries']) {
    optional(check[key], `Healthcheck.${key}`, (number) => Number.isInteger(number) && (number as number) >= 0);
  }
}

function optional(value: unknown, key: string, test: (value: unknown) => boolean): void {
  if (value != null && !test(value)) throw wrong(key);
}

function object(value: unknown, key: string): Record<string, unknown> {
  if (!isObject(value)) throw wrong(key);
  return value as Record<string, unknown>;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0');
}

function wrong(key: string): EngineError {
  return new EngineError('corrupt', `invalid image configuration: ${key} is not what it should be`);
}
