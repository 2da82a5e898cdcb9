/** What a client has for places that want to know who asks. */
export interface SourceSecrets {
  /** Text of a secret; undefined when there is none of that name. */
  secret(name: string): Promise<string | undefined>;
  /** A socket of the client's ssh agent on this host. */
  readonly sshSocket?: (() => Promise<string | undefined>) | undefined;
}

/** The secret for a host (`GIT_AUTH_TOKEN.example.org`), or the one for all. */
export async function hostSecret(
  secrets: SourceSecrets,
  name: string,
  host: string,
  separator: '.' | '_',
): Promise<string | undefined> {
  const own = await secrets.secret(`${name}${separator}${host}`);
  const text = own ?? (separator === '.' ? await secrets.secret(name) : undefined);
  return text?.trim();
}
