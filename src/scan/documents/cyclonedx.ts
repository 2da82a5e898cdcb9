import { createHash } from 'node:crypto';
import type { Inventory } from '../../api/inventory.ts';
import { packageUrl } from '../package-url.ts';
import { type DocumentSubject, isExpression, short } from './spdx.ts';

/** CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json). */
export function cycloneDxDocument(inventory: Inventory, subject: DocumentSubject): Record<string, unknown> {
  const { os } = inventory;
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(subject.id)}`,
    version: 1,
    metadata: {
      timestamp: subject.created,
      tools: { components: [{ type: 'application', name: 'gantry', version: subject.toolVersion }] },
      component: { 'bom-ref': 'image', type: 'container', name: subject.name, version: subject.id },
    },
    components: [
      ...(os
        ? [{ 'bom-ref': 'os', type: 'operating-system', name: os.id, version: os.version, description: os.name }]
        : []),
      ...inventory.packages.map((found) => ({
        'bom-ref': `${found.type}-${short(`${found.name}\0${found.version}\0${found.path}`)}`,
        type: 'library',
        name: found.name,
        version: found.version,
        ...(isExpression(found.license) && { licenses: [{ expression: found.license }] }),
        purl: packageUrl(found, os),
        properties: [{ name: 'gantry:path', value: found.path }],
      })),
    ],
  };
}

/** A UUID of version 8 (RFC 9562) out of the image's id: the same image, the same number. */
function uuidOf(id: string): string {
  const hex = createHash('sha256').update(id).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
