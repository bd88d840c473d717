package haproxyapi

import _ "embed" // the document below

// openAPI describes this API for programs, in OpenAPI 3.1.
//
//go:embed openapi.json
var openAPI []byte
