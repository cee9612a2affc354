// Tables as text: fields between separators, in double quotes where they hold one (RFC 4180).

/** The first `most` rows of a table, each a list of texts. A quote that never ends takes all that follows. */
export function readTable(text, separator, most = Infinity) {
  const rows = [];
  let row = [];
  let field = "";
  let isQuoted = false;
  const endField = () => {
    row.push(field);
    field = "";
  };
  const endRow = () => {
    endField();
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  for (let at = 0; at < text.length && rows.length < most; at += 1) {
    const sign = text[at];
    if (isQuoted) {
      if (sign !== '"') field += sign;
      else if (text[at + 1] === '"') {
        field += '"';
        at += 1;
      } else isQuoted = false;
    } else if (sign === '"' && field === "") isQuoted = true;
    else if (sign === separator) endField();
    else if (sign === "\n") endRow();
    else if (sign !== "\r") field += sign;
  }
  if (rows.length < most && (field !== "" || row.length)) endRow();
  return rows;
}
