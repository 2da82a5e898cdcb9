import type { PackageType } from '../../api/inventory.ts';
import { compareApk } from './apk.ts';
import { compareDeb } from './deb.ts';
import { compareMaven } from './maven.ts';
import { comparePypi } from './pypi.ts';
import { compareRpm } from './rpm.ts';
import { compareSemver } from './semver.ts';

const ORDERS: Readonly<Record<PackageType, (a: string, b: string) => number>> = {
  deb: compareDeb,
  apk: compareApk,
  rpm: compareRpm,
  npm: compareSemver,
  pypi: comparePypi,
  golang: compareSemver,
  maven: compareMaven,
};

/** Negative where `a` is older than `b`, in the order of the packages' own ecosystem. */
export function compareVersions(type: PackageType, a: string, b: string): number {
  return ORDERS[type](a, b);
}
