package formats_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"testing"

	suite "github.com/goccy/go-yaml/testdata/yaml-test-suite"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/yaml"
)

// yamlRefused is what config refuses of the YAML that the parser takes: it has
// no meaning in a configuration, or not one.
var yamlRefused = regexp.MustCompile(`a second document|tag \S+ is not supported|a key must be a single value|empty (key|document)`)

// The parser, go.yaml.in/yaml/v3, reads the syntax of YAML 1.1. These documents
// it refuses though they are YAML 1.2: most have tabs, empty keys, values of
// flow mappings on a line of their own, or several documents.
var yamlUnknown = []string{
	"aliases-in-explicit-block-mapping",
	"allowed-characters-in-alias",
	"anchor-with-unicode-character",
	"anchors-with-colon-in-name",
	"bare-document-after-document-end-marker",
	"block-mapping-with-missing-keys",
	"colon-and-adjacent-value-after-comment-on-next-line",
	"colon-and-adjacent-value-on-next-line",
	"colon-at-the-beginning-of-adjacent-flow-scalar",
	"comment-and-document-end-marker",
	"directive-variants/05",
	"directive-variants/06",
	"document-end-marker",
	"empty-implicit-key-in-single-pair-flow-sequences",
	"empty-keys-in-block-and-flow-mapping",
	"empty-lines-at-end-of-document",
	"escaped-slash-in-double-quotes",
	"flow-collections-over-many-lines/01",
	"flow-mapping-colon-on-line-after-key/01",
	"flow-mapping-colon-on-line-after-key/02",
	"flow-mapping-edge-cases",
	"leading-tab-content-in-literals/00",
	"leading-tab-content-in-literals/01",
	"multiline-double-quoted-flow-mapping-key",
	"multiline-plain-flow-mapping-key",
	"question-mark-edge-cases/00",
	"question-marks-in-scalars",
	"scalars-in-flow-start-with-syntax-char/00",
	"single-character-streams/01",
	"spec-example-6-13-reserved-directives",
	"spec-example-6-13-reserved-directives-1-3",
	"spec-example-6-14-yaml-directive",
	"spec-example-6-2-indentation-indicators",
	"spec-example-6-3-separation-spaces",
	"spec-example-7-10-plain-characters",
	"spec-example-7-2-empty-content",
	"spec-example-7-3-completely-empty-flow-nodes",
	"spec-example-8-18-implicit-block-mapping-entries",
	"spec-example-8-2-block-indentation-indicator",
	"spec-example-9-3-bare-documents",
	"spec-example-9-4-explicit-documents",
	"spec-example-9-5-directives-documents",
	"syntax-character-edge-cases/00",
	"tabs-in-various-contexts/001",
	"tabs-in-various-contexts/010",
	"tabs-that-look-like-indentation/00",
	"tabs-that-look-like-indentation/03",
	"tabs-that-look-like-indentation/04",
	"zero-indented-block-scalar",
	"zero-indented-block-scalar-with-line-that-looks-like-a-comment",
}

// These it takes though they are not.
var yamlLax = []string{
	"block-scalar-with-more-spaces-than-first-content-line",
	"comment-without-whitespace-after-block-scalar-indicator",
	"comment-without-whitespace-after-doublequoted-scalar",
	"dash-in-flow-sequence",
	"double-quoted-scalar-with-escaped-single-quote",
	"invalid-comment-after-comma",
	"invalid-comment-after-end-of-flow-sequence",
	"plain-dashes-in-flow-sequence",
	"tabs-in-various-contexts/003",
	"tabs-that-look-like-indentation/01",
	"wrong-indented-flow-sequence",
	"wrong-indented-multiline-quoted-scalar",
}

// These mean something else in YAML 1.1, or lose the end of a last line.
var yamlOther = []string{
	"anchor-with-colon-in-the-middle",
	"question-mark-at-start-of-flow-key",
	"scalars-in-flow-start-with-syntax-char/01",
	"spec-example-6-28-non-specific-tags",
	"trailing-line-of-spaces/01",
	"trailing-whitespace-in-streams/02",
}

// TestYAML runs the YAML test suite: what is read is what the suite says, or is
// refused.
func TestYAML(t *testing.T) {
	cases, err := suite.TestSuites()
	if err != nil {
		t.Fatal(err)
	}
	var unknown, lax, other []string
	same := 0
	for _, c := range cases {
		snap, err := config.ParseSnapshot(yaml.Format{}, c.InYAML)
		switch {
		case err != nil:
			if !c.Error && !yamlRefused.MatchString(err.Error()) {
				unknown = append(unknown, c.Name)
			}
		case c.Error:
			lax = append(lax, c.Name)
		case len(c.InJSON) == 0:
			// the suite doesn't say what it means
		default:
			var got any
			err := json.Unmarshal(snap.Get("").Bytes(), &got)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.InJSON) != 1 || !reflect.DeepEqual(got, c.InJSON[0]) {
				other = append(other, c.Name)
			} else {
				same++
			}
		}
	}
	if same < 190 {
		t.Errorf("%d documents of %d were read: where is the suite?", same, len(cases))
	}
	compareNames(t, "refused", unknown, yamlUnknown)
	compareNames(t, "taken though invalid", lax, yamlLax)
	compareNames(t, "read as something else", other, yamlOther)
}

func compareNames(t *testing.T, what string, got, want []string) {
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s: %q", what, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("no longer %s, take it from the list: %q", what, name)
		}
	}
}
