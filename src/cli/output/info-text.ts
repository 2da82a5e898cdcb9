import { binarySize } from './units.ts';

/** `info` for people. Lines whose value the engine does not tell are left out. */
export function infoText(
  client: { ClientInfo: { Version: string; Context: string; Debug: boolean } },
  server: Record<string, unknown> | undefined,
): string {
  const lines = [
    'Client: Gantry',
    ` Version:    ${client.ClientInfo.Version}`,
    ` Context:    ${client.ClientInfo.Context}`,
    ` Debug Mode: ${client.ClientInfo.Debug}`,
    '',
    'Server:',
  ];
  if (!server) return `${lines.join('\n')}\n`;
  const add = (title: string, value: unknown, indent = 1): void => {
    if (value !== undefined && value !== null && value !== '')
      lines.push(
        `${' '.repeat(indent)}${title}: ${typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean)}`,
      );
  };
  add('Containers', server['Containers']);
  add('Running', server['ContainersRunning'], 2);
  add('Paused', server['ContainersPaused'], 2);
  add('Stopped', server['ContainersStopped'], 2);
  add('Images', server['Images']);
  add('Server Version', server['ServerVersion']);
  add('Storage Driver', server['Driver']);
  for (const [name, value] of (server['DriverStatus'] as [string, string][] | null) ?? []) add(name, value, 2);
  add('Logging Driver', server['LoggingDriver']);
  add('Cgroup Driver', server['CgroupDriver']);
  add('Cgroup Version', server['CgroupVersion']);
  const plugins = (server['Plugins'] as Record<string, string[] | null> | undefined) ?? {};
  lines.push(' Plugins:');
  for (const kind of ['Volume', 'Network', 'Authorization', 'Log'])
    if (plugins[kind]?.length) add(kind, plugins[kind].join(' '), 2);
  add('Swarm', (server['Swarm'] as { LocalNodeState?: string } | undefined)?.LocalNodeState);
  add(
    'Runtimes',
    Object.keys((server['Runtimes'] as object | undefined) ?? {})
      .sort()
      .join(' '),
  );
  add('Default Runtime', server['DefaultRuntime']);
  add('Init Binary', server['InitBinary']);
  for (const [name, field] of [
    ['containerd version', 'ContainerdCommit'],
    ['runc version', 'RuncCommit'],
    ['init version', 'InitCommit'],
  ] as const)
    add(name, (server[field] as { ID?: string } | undefined)?.ID);
  const security = (server['SecurityOptions'] as string[] | null | undefined) ?? [];
  if (security.length > 0) {
    lines.push(' Security Options:');
    for (const option of security) {
      const pairs = option.split(',').map((pair) => pair.split('='));
      lines.push(`  ${pairs.find(([key]) => key === 'name')?.[1] ?? option}`);
      for (const [key, value] of pairs)
        if (key !== 'name') lines.push(`   ${key === 'profile' ? 'Profile' : key}: ${value}`);
    }
  }
  add('Kernel Version', server['KernelVersion']);
  add('Operating System', server['OperatingSystem']);
  add('OSType', server['OSType']);
  add('Architecture', server['Architecture']);
  add('CPUs', server['NCPU']);
  if (typeof server['MemTotal'] === 'number') add('Total Memory', binarySize(server['MemTotal']));
  add('Name', server['Name']);
  add('ID', server['ID']);
  add('Docker Root Dir', server['DockerRootDir']);
  add('Debug Mode', server['Debug']);
  if (server['Debug'] === true) {
    add('File Descriptors', server['NFd'], 2);
    add('Goroutines', server['NGoroutines'], 2);
    add('System Time', server['SystemTime'], 2);
    add('EventsListeners', server['NEventsListener'], 2);
  }
  add('HTTP Proxy', server['HttpProxy']);
  add('HTTPS Proxy', server['HttpsProxy']);
  add('No Proxy', server['NoProxy']);
  const labels = (server['Labels'] as string[] | null | undefined) ?? [];
  if (labels.length > 0) lines.push(' Labels:', ...labels.map((label) => `  ${label}`));
  add('Experimental', server['ExperimentalBuild']);
  const registry = server['RegistryConfig'] as
    | { InsecureRegistryCIDRs?: string[]; IndexConfigs?: Record<string, { Secure?: boolean }>; Mirrors?: string[] }
    | null
    | undefined;
  const insecure = [
    ...Object.entries(registry?.IndexConfigs ?? {})
      .filter(([, index]) => index.Secure === false)
      .map(([name]) => name),
    ...(registry?.InsecureRegistryCIDRs ?? []),
  ];
  if (insecure.length > 0) lines.push(' Insecure Registries:', ...insecure.map((name) => `  ${name}`));
  if (registry?.Mirrors?.length) lines.push(' Registry Mirrors:', ...registry.Mirrors.map((name) => `  ${name}`));
  add('Live Restore Enabled', server['LiveRestoreEnabled']);
  add('Product License', server['ProductLicense']);
  lines.push('');
  return `${lines.join('\n')}\n`;
}
