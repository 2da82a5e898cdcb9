/** `GET /gantry/images/{name}/inventory?platform=…` answers with an `Inventory`. */
/** What an image has installed, in the words of package-url: the `type` says who numbers the versions. */
export type PackageType = 'deb' | 'apk' | 'rpm' | 'npm' | 'pypi' | 'golang' | 'maven';

export interface InstalledPackage {
  readonly type: PackageType;
  /** As its ecosystem names it: `libc6`, `@scope/name`, `github.com/a/b`, `group:artifact`. */
  readonly name: string;
  readonly version: string;
  /** The source package, where the distribution's advisories go by that. */
  readonly source?: { readonly name: string; readonly version: string };
  readonly architecture?: string;
  /** As the package itself says; not checked against any list. */
  readonly license?: string;
  /** Absolute path in the image of the file that tells of it. */
  readonly path: string;
}

/** From os-release(5). */
export interface OperatingSystem {
  readonly id: string;
  readonly version: string;
  readonly name: string;
  readonly codename?: string;
}

/** Everything found in an image, and what could not be read. */
export interface Inventory {
  readonly os?: OperatingSystem;
  /** Sorted by type, name, version, path. */
  readonly packages: readonly InstalledPackage[];
  readonly notes: readonly string[];
}

export function inventoryPath(image: string): string {
  return `/gantry/images/${image}/inventory`;
}
