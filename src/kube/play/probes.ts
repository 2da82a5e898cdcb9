import type { ContainerCreateRequest } from '../../api/container.ts';
import { asDict, asList, asText, asTexts, type Dict, textOf } from '../../compose/model/value.ts';

const NANOS = 1e9;

/** The liveness probe (or, without one, the readiness or startup probe) as a health check; undefined when there is none. */
export function healthcheck(
  container: Dict,
  where: string,
  warn: (message: string) => void,
): ContainerCreateRequest['Healthcheck'] | undefined {
  const kinds = ['livenessProbe', 'readinessProbe', 'startupProbe'].filter((kind) => container[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined) return undefined;
  const probe = asDict(container[kind]);
  const startup = asDict(container['startupProbe']);
  const test = testOf(probe, container, `${where}: ${kind}`, warn);
  if (!test) return undefined;
  const seconds = (from: Dict, key: string, initial: number): number => Number(from[key] ?? initial);
  const grace =
    seconds(probe, 'initialDelaySeconds', 0) +
    (kinds.includes('startupProbe') && kind !== 'startupProbe'
      ? seconds(startup, 'initialDelaySeconds', 0) +
        seconds(startup, 'periodSeconds', 10) * seconds(startup, 'failureThreshold', 3)
      : 0);
  return {
    Test: test,
    Interval: seconds(probe, 'periodSeconds', 10) * NANOS,
    Timeout: seconds(probe, 'timeoutSeconds', 1) * NANOS,
    Retries: seconds(probe, 'failureThreshold', 3),
    ...(grace > 0 && { StartPeriod: grace * NANOS }),
  };
}

function testOf(probe: Dict, container: Dict, where: string, warn: (message: string) => void): string[] | undefined {
  if (probe['exec'] !== undefined) return ['CMD', ...asTexts(asDict(probe['exec'])['command'])];
  if (probe['httpGet'] !== undefined) {
    const get = asDict(probe['httpGet']);
    const scheme = (asText(get['scheme']) ?? 'HTTP').toLowerCase();
    const url = quote(
      `${scheme}://${asText(get['host']) ?? 'localhost'}:${portOf(get['port'], container)}${asText(get['path']) ?? '/'}`,
    );
    const headers = asList(get['httpHeaders'])
      .map(asDict)
      .map((item) => quote(`${textOf(item['name'])}: ${textOf(item['value'])}`));
    const wget = [
      'wget -q -O /dev/null',
      ...(scheme === 'https' ? ['--no-check-certificate'] : []),
      ...headers.map((header) => `--header ${header}`),
      url,
    ];
    const curl = [
      'curl -fsS -o /dev/null',
      ...(scheme === 'https' ? ['-k'] : []),
      ...headers.map((header) => `-H ${header}`),
      url,
    ];
    return ['CMD-SHELL', `if command -v curl >/dev/null 2>&1; then ${curl.join(' ')}; else ${wget.join(' ')}; fi`];
  }
  if (probe['tcpSocket'] !== undefined) {
    const socket = asDict(probe['tcpSocket']);
    const place = `${quote(asText(socket['host']) ?? 'localhost')} ${portOf(socket['port'], container)}`;
    // one or the other is what the image's nc knows
    return ['CMD-SHELL', `nc -z -w 1 ${place} 2>/dev/null || nc -w 1 ${place} -e true`];
  }
  warn(`${where}: ${Object.keys(probe)[0] ?? 'an empty probe'} cannot be done here: the container has no health check`);
  return undefined;
}

/** A number, or the name of one of the container's ports. */
export function portOf(value: Dict[string] | undefined, container: Dict): string {
  const text = textOf(value);
  const named = asList(container['ports'])
    .map(asDict)
    .find((port) => asText(port['name']) === text);
  return named ? textOf(named['containerPort']) : text;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
