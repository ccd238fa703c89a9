/** Text from a model, a data set or a file name, made safe for a page. */

const kEntities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Safe between tags and inside quoted attributes. Control characters that a page cannot show become visible. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => kEntities[character] as string)
    .replace(
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be replaced
      /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
}

/** JSON that can stand inside a script element: it can neither close the element nor open a comment. */
export function escapeJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
