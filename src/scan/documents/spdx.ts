import { createHash } from 'node:crypto';
import type { Inventory } from '../../api/inventory.ts';
import { packageUrl } from '../package-url.ts';

export interface DocumentSubject {
  /** As the user named the image. */
  readonly name: string;
  /** `sha256:…` of the image. */
  readonly id: string;
  /** RFC 3339, whole seconds. */
  readonly created: string;
  /** Version of the tool. */
  readonly toolVersion: string;
}

/** SPDX 2.3 in JSON (https://spdx.github.io/spdx-spec/v2.3). The same inventory gives the same document but for `created`. */
export function spdxDocument(inventory: Inventory, subject: DocumentSubject): Record<string, unknown> {
  const root = 'SPDXRef-Image';
  const packages = inventory.packages.map((found) => ({
    SPDXID: `SPDXRef-Package-${found.type}-${short(`${found.name}\0${found.version}\0${found.path}`)}`,
    name: found.name,
    versionInfo: found.version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: isExpression(found.license) ? found.license : 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    sourceInfo: `found in ${found.path}`,
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: packageUrl(found, inventory.os),
      },
    ],
  }));
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: subject.name,
    documentNamespace: `https://spdx.org/spdxdocs/gantry-${subject.id.replace(':', '-')}`,
    creationInfo: { created: subject.created, creators: [`Tool: gantry-${subject.toolVersion}`] },
    packages: [
      {
        SPDXID: root,
        name: subject.name,
        versionInfo: subject.id,
        primaryPackagePurpose: 'CONTAINER',
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        licenseConcluded: 'NOASSERTION',
        licenseDeclared: 'NOASSERTION',
        copyrightText: 'NOASSERTION',
        ...(inventory.os && { comment: inventory.os.name }),
      },
      ...packages,
    ],
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: root },
      ...packages.map(({ SPDXID }) => ({
        spdxElementId: root,
        relationshipType: 'CONTAINS',
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
}

export function short(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Only what reads as an SPDX expression may stand in `licenseDeclared`. */
export function isExpression(license: string | undefined): license is string {
  return license !== undefined && /^\(?[A-Za-z0-9.+-]+\)?( (AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*$/.test(license);
}
