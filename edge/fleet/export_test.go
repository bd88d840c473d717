package fleet

import "net/http"

// HTTPClient builds the HTTP client of a device, for tests of what is told of it.
func HTTPClient(h *HTTP, device string, trace func(Call)) (*http.Client, error) {
	return h.client(device, Options{Trace: trace})
}
