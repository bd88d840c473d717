package main

// These are the parts that we use of Zabbix' export format, version 6.0, under its
// own names and in the order in which its own export writes them.
// Source: Zabbix documentation 6.0, "Configuration export/import", "Templates";
// seen in what Zabbix 6.0.14 exports.

type file struct {
	Export Export `yaml:"zabbix_export"`
}

// Export is one file of templates.
type Export struct {
	Version   string
	Date      string
	Groups    []Group
	Templates []Template
	Triggers  []Trigger `yaml:",omitempty"` // of all templates
}

// Group is where Zabbix lists a template.
type Group struct {
	UUID string `yaml:",omitempty"`
	Name string
}

// Template is one template.
type Template struct {
	UUID        string
	Template    string
	Name        string
	Description string
	Groups      []Group
	Items       []Item
	Discovery   []Rule `yaml:"discovery_rules,omitempty"`
	Tags        []Tag  `yaml:",omitempty"`
	Macros      []Macro
	Valuemaps   []Valuemap `yaml:",omitempty"`
}

// Item is an item or the prototype of one.
type Item struct {
	UUID          string
	Name          string
	Type          string // HTTP_AGENT or DEPENDENT
	Key           string
	Delay         string
	History       string `yaml:",omitempty"`
	Trends        string `yaml:",omitempty"`
	ValueType     string `yaml:"value_type,omitempty"` // empty: UNSIGNED
	Units         string `yaml:",omitempty"`
	Authtype      string `yaml:",omitempty"`
	Username      string `yaml:",omitempty"`
	Password      string `yaml:",omitempty"`
	Description   string
	Valuemap      *Named `yaml:",omitempty"`
	Preprocessing []Step `yaml:",omitempty"`
	Timeout       string `yaml:",omitempty"`
	URL           string `yaml:",omitempty"`
	VerifyPeer    string `yaml:"verify_peer,omitempty"`
	VerifyHost    string `yaml:"verify_host,omitempty"`
	Master        *Keyed `yaml:"master_item,omitempty"`
	Tags          []Tag
}

// Named and Keyed are references.
type (
	Named struct{ Name string }
	Keyed struct{ Key string }
)

// Step is one of preprocessing.
type Step struct {
	Type               string
	Parameters         []string
	ErrorHandler       string `yaml:"error_handler,omitempty"`
	ErrorHandlerParams string `yaml:"error_handler_params,omitempty"`
}

// Rule is one of low-level discovery.
type Rule struct {
	UUID          string
	Name          string
	Type          string
	Key           string
	Delay         string
	Filter        *Filter `yaml:",omitempty"`
	Lifetime      string
	Description   string
	Items         []Item    `yaml:"item_prototypes"`
	Triggers      []Trigger `yaml:"trigger_prototypes,omitempty"`
	Master        *Keyed    `yaml:"master_item"`
	Paths         []Path    `yaml:"lld_macro_paths"`
	Preprocessing []Step
}

// Filter says which of the things found are wanted.
type Filter struct {
	EvalType   string `yaml:"evaltype,omitempty"`
	Conditions []Condition
}

// Condition is a regular expression that a macro has to match.
type Condition struct{ Macro, Value, Formulaid string }

// Path is where in a row of the discovery a macro's value stands.
type Path struct {
	Macro string `yaml:"lld_macro"`
	Path  string
}

// Trigger is a trigger or the prototype of one.
type Trigger struct {
	UUID        string
	Expression  string
	Name        string
	URL         string `yaml:",omitempty"`
	Priority    string
	Description string
	Tags        []Tag
}

// Tag is what Zabbix tells its problems apart by.
type Tag struct{ Tag, Value string }

// Macro is what users set.
type Macro struct {
	Macro       string
	Type        string `yaml:",omitempty"` // SECRET_TEXT or empty
	Value       string `yaml:",omitempty"`
	Description string
}

// Valuemap has words for numbers.
type Valuemap struct {
	UUID     string
	Name     string
	Mappings []Mapping
}

// Mapping is one word for one number.
type Mapping struct{ Value, Newvalue string }
