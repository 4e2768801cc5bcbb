package config

import "strconv"

// appendJSON writes t as compact JSON with sorted keys. Text is a string.
// With redact a placeholder stands for what is secret.
func appendJSON(b []byte, t *tree, path string, redact *redaction) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	if redact != nil && redact.hides(path, t) {
		return append(b, `"`+redacted+`"`...)
	}
	switch t.kind {
	case Bool:
		return strconv.AppendBool(b, t.flag)
	case Number:
		return append(b, t.text...)
	case String, Text:
		text := t.text
		if redact != nil {
			text, _ = mask(text)
		}
		return appendQuoted(b, text)
	case Array:
		b = append(b, '[')
		for i, item := range t.items {
			if i > 0 {
				b = append(b, ',')
			}
			sub := ""
			if redact != nil {
				sub = joinIndex(path, i)
			}
			b = appendJSON(b, item, sub, redact.after(t, i))
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, m := range t.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, m.key), ':')
			sub := ""
			if redact != nil {
				sub = join(path, m.key)
			}
			b = appendJSON(b, m.val, sub, redact.beside(t, m.key))
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendQuoted(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
