/**
 * Strict validation of Kubernetes manifests, without a cluster: values against the JSON schemas that Kubernetes publishes
 * (compiled, in the package kubernetes-models), names of fields against the model of the official client.
 */
import * as client from '@kubernetes/client-node';

interface Attribute {
  readonly name: string;
  readonly baseName: string;
  readonly type: string;
}
type Model = { readonly attributeTypeMap: readonly Attribute[] };
type Validate = ((data: unknown) => boolean) & {
  errors?: { instancePath: string; message?: string; keyword: string }[];
};

/** What is wrong with a manifest; empty when nothing is. */
export async function problemsOf(manifest: Record<string, unknown>): Promise<string[]> {
  const { apiVersion, kind, metadata } = manifest as { apiVersion: string; kind: string; metadata: { name: string } };
  const where = `${kind}/${metadata.name}`;
  const [group, version = group] = apiVersion.split('/') as [string, string?];
  const folder = { v1: 'Core', apps: 'Apps', batch: 'Batch', 'networking.k8s.io': 'Networking' }[group];
  if (folder === undefined) return [`${where}: unknown apiVersion ${apiVersion}`];
  const capital = version!.replace('v', 'V');
  const { validate } = (await import(`kubernetes-models/_schemas/IoK8sApi${folder}${capital}${kind}`)) as {
    validate: Validate;
  };
  const problems: string[] = [];
  if (!validate(manifest)) {
    for (const error of validate.errors ?? [])
      problems.push(`${where}${error.instancePath}: ${error.message ?? error.keyword}`);
  }
  unknownFields(manifest, `${capital}${kind}`, where, problems);
  return problems;
}

function unknownFields(value: unknown, type: string, at: string, problems: string[]): void {
  const list = /^Array<(.*)>$/.exec(type)?.[1];
  if (list !== undefined) {
    if (!Array.isArray(value)) problems.push(`${at}: no list`);
    else value.forEach((item, index) => unknownFields(item, list, `${at}[${index}]`, problems));
    return;
  }
  const entry = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (entry !== undefined) {
    for (const [key, item] of Object.entries(value as object)) unknownFields(item, entry, `${at}.${key}`, problems);
    return;
  }
  if (['string', 'number', 'boolean'].includes(type)) {
    if (typeof value !== type) problems.push(`${at}: ${JSON.stringify(value)} is no ${type}`);
    return;
  }
  const model = (client as unknown as Record<string, Model | undefined>)[type];
  if (!model?.attributeTypeMap) return;
  for (const [key, item] of Object.entries(value as object)) {
    const attribute = model.attributeTypeMap.find(({ baseName }) => baseName === key);
    if (attribute) unknownFields(item, attribute.type, `${at}.${key}`, problems);
    else problems.push(`${at}.${key}: unknown field of ${type}`);
  }
}
