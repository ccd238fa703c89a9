/** How the reference writes lists into its prompts. */

/** Python's repr of a list of strings: single quotes, or double quotes around a text that has a single one only. */
export function pythonList(texts: readonly string[]): string {
  const quoted = texts.map((text) => {
    const escaped = text.replaceAll('\\', '\\\\');
    if (text.includes("'") && !text.includes('"')) return `"${escaped}"`;
    return `'${escaped.replaceAll("'", "\\'")}'`;
  });
  return `[${quoted.join(', ')}]`;
}

/** The list that the training data is made of: single quotes, an index before each text, nothing escaped. */
export function indexedList(entries: readonly (readonly [number, string])[]): string {
  return `[${entries.map(([index, text]) => `'${index}. ${text}'`).join(', ')}]`;
}
