import type { InstalledPackage, OperatingSystem } from '../api/inventory.ts';

/** https://github.com/package-url/purl-spec */
export function packageUrl(found: InstalledPackage, os: OperatingSystem | undefined): string {
  const escape = (text: string): string => encodeURIComponent(text).replaceAll('%2B', '+').replaceAll('%3A', ':');
  const qualifiers: string[] = [];
  if (found.architecture !== undefined) qualifiers.push(`arch=${escape(found.architecture)}`);
  let path = found.name.split('/').map(escape).join('/');
  if (found.type === 'deb' || found.type === 'apk' || found.type === 'rpm') {
    const vendor = os?.id ?? { deb: 'debian', apk: 'alpine', rpm: 'redhat' }[found.type];
    path = `${escape(vendor)}/${path}`;
    if (os !== undefined && os.version !== '') qualifiers.push(`distro=${escape(`${os.id}-${os.version}`)}`);
  } else if (found.type === 'maven') {
    path = found.name.split(':').map(escape).join('/');
  } else if (found.type === 'pypi') {
    path = escape(found.name.toLowerCase().replace(/[-_.]+/g, '-'));
  }
  const tail = qualifiers.length > 0 ? `?${qualifiers.sort().join('&')}` : '';
  return `pkg:${found.type}/${path}@${escape(found.version)}${tail}`;
}
