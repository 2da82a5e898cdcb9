/** Proxy settings that RUN steps see without an ARG, and that no cache key depends on. */
export const PROXY_ARGS: ReadonlySet<string> = new Set([
  'HTTP_PROXY',
  'http_proxy',
  'HTTPS_PROXY',
  'https_proxy',
  'FTP_PROXY',
  'ftp_proxy',
  'NO_PROXY',
  'no_proxy',
  'ALL_PROXY',
  'all_proxy',
]);

/** The proxies among a build's arguments as variables of its steps: programs look for either spelling. */
export function proxyVariables(buildArgs: ReadonlyMap<string, string>): string[] {
  return [...buildArgs]
    .filter(([name]) => PROXY_ARGS.has(name))
    .flatMap(([name, value]) => [`${name.toUpperCase()}=${value}`, `${name.toLowerCase()}=${value}`]);
}
