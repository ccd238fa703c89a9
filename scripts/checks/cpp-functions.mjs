// Finds the functions of a C++ file and their lengths, by braces: enough for a size report, not a parser.

const NOT_A_FUNCTION = /^(?:if|for|while|switch|catch|else|do|return|namespace|class|struct|union|enum|extern)\b/;

/** Comments, literals and preprocessor lines become blanks; line breaks stay. */
export function blankNonCode(text) {
  const pattern =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|R"(\w*)\([\s\S]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:\\\n|[^\n])*/gm;
  return text.replace(pattern, (matched) => matched.replace(/[^\n]/g, ' '));
}

/** Outermost functions as {name, lines}; lambdas and local classes belong to the function around them. */
export function cppFunctions(text) {
  const code = blankNonCode(text);
  const found = [];
  const open = []; // for each brace: the function that it opens, or null
  let functions = 0; // open ones
  let parentheses = 0;
  let headerBegin = 0;
  for (let at = 0; at < code.length; at++) {
    const char = code[at];
    if (char === '(') parentheses++;
    else if (char === ')') parentheses--;
    else if (char === '{') {
      const opened = functions || parentheses ? null : functionOf(code, headerBegin, at);
      if (opened) functions++;
      open.push(opened);
    } else if (char === '}') {
      const closed = open.pop();
      if (closed) {
        functions--;
        found.push({ name: closed.name, lines: linesBetween(code, closed.begin, at) });
      }
    }
    // Braces in parentheses (a default argument) are part of the header around them.
    if (parentheses === 0 && /[{};]/.test(char)) headerBegin = at + 1;
  }
  return found;
}

/** `... name(...) const -> T` before the brace makes a function; anything else does not. */
function functionOf(code, headerBegin, brace) {
  const raw = code.slice(headerBegin, brace);
  const header = raw.trim().replace(/^(?:public|private|protected):\s*/, '');
  if (NOT_A_FUNCTION.test(header) || !/\)[^()=]*$|\)\s*:\s[\s\S]*\)$/.test(header)) return null;
  const name = header.match(/(operator\s*\S+?|~?[\w:]+)\s*\(/)?.[1];
  return name ? { name, begin: headerBegin + raw.length - raw.trimStart().length } : null;
}

const linesBetween = (code, begin, end) => code.slice(begin, end + 1).split('\n').length;
