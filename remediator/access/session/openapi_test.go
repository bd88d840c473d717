package session

import (
	"testing"

	"github.com/sluice-project/sluice/test/openapi"
)

// The document of the API calls cookie and header what they are called.
func TestTheDocumentNamesCookieAndHeader(t *testing.T) {
	schemes := openapi.At(openapi.Document(), "components", "securitySchemes")
	for scheme, want := range map[string]string{"session": sessionCookie, "csrf": Header} {
		if got := openapi.At(schemes, scheme, "name"); got != want {
			t.Errorf("%s: %v, want %s", scheme, got, want)
		}
	}
}
