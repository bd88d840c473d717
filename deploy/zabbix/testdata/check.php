<?php
// Asks the code of a Zabbix frontend whether Zabbix would take an export: the
// validator of its schema, and the parsers of keys, of Prometheus patterns and of
// trigger expressions with their functions. Nothing of a server is needed.
//
//	php check.php FOLDER_OF_THE_FRONTEND < export.json
//
// A line for each mistake, then one with what was judged.
error_reporting(E_ALL & ~E_DEPRECATED);

spl_autoload_register(function (string $class) use ($argv): void {
	static $files = [];
	if (!$files) {
		foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator("$argv[1]/include/classes")) as $file) {
			$files[$file->getBasename('.php')] = $file->getPathname();
		}
	}
	if (isset($files[$class])) {
		require_once $files[$class];
	}
});

// What the frontend takes from gettext and from extensions that PHP alone lacks.
if (!function_exists('_')) {
	function _(string $text): string { return $text; }
}
function _s(string $text, ...$values): string { return vsprintf($text, $values); }
function _n(string $one, string $many, ...$values): string { return vsprintf(end($values) == 1 ? $one : $many, $values); }
function _x(string $text, string $context): string { return $text; }
if (!function_exists('mb_strlen')) {
	function mb_strlen(string $text): int { return preg_match_all('/./us', $text); }
	function mb_substr(string $text, int $from, ?int $length = null): string {
		return implode('', array_slice(preg_split('//u', $text, -1, PREG_SPLIT_NO_EMPTY), $from, $length));
	}
}
require_once "$argv[1]/include/defines.inc.php";
require_once "$argv[1]/include/func.inc.php";

$judged = ['templates' => 0, 'keys' => 0, 'patterns' => 0, 'expressions' => 0];
$wrong = function (string $what, string $why): void { echo "$what: $why\n"; };

$item = function (array $it) use (&$judged, $wrong): void {
	$key = new CItemKey();
	$judged['keys']++;
	if ($key->parse($it['key']) != CParser::PARSE_SUCCESS) {
		$wrong($it['key'], $key->getError());
	}
	foreach ($it['preprocessing'] ?? [] as $step) {
		if (!str_starts_with($step['type'], 'PROMETHEUS_')) {
			continue;
		}
		$judged['patterns']++;
		$pattern = new CPrometheusPatternParser(['usermacros' => true, 'lldmacros' => true]);
		if ($pattern->parse($step['parameters'][0]) != CParser::PARSE_SUCCESS) {
			$wrong($it['key'], 'Zabbix has no Prometheus pattern '.$step['parameters'][0]);
		}
		if ($step['type'] === 'PROMETHEUS_PATTERN' && $step['parameters'][1] === 'label') {
			$output = new CPrometheusOutputParser(['usermacros' => true, 'lldmacros' => true]);
			if ($output->parse($step['parameters'][2]) != CParser::PARSE_SUCCESS) {
				$wrong($it['key'], 'Zabbix has no label '.$step['parameters'][2]);
			}
		}
	}
};

$trigger = function (array $tr, bool $prototype) use (&$judged, $wrong): void {
	$judged['expressions']++;
	$parser = new CExpressionParser(['usermacros' => true, 'lldmacros' => $prototype]);
	if ($parser->parse($tr['expression']) != CParser::PARSE_SUCCESS) {
		$wrong($tr['name'], $parser->getError());
		return;
	}
	$functions = new CExpressionValidator(['usermacros' => true, 'lldmacros' => $prototype]);
	if (!$functions->validate($parser->getResult()->getTokens())) {
		$wrong($tr['name'], $functions->getError());
	}
};

$export = json_decode(stream_get_contents(STDIN), true);
try {
	(new CXmlValidator(new CImportValidatorFactory('json'), 'json'))->setStrict(true)->setPreview(false)->validate($export, '/');
} catch (Exception $e) {
	$wrong('schema', $e->getMessage());
}
foreach ($export['zabbix_export']['templates'] as $template) {
	$judged['templates']++;
	array_map($item, $template['items']);
	foreach ($template['discovery_rules'] as $rule) {
		$item($rule);
		array_map($item, $rule['item_prototypes']);
		foreach ($rule['trigger_prototypes'] ?? [] as $tr) {
			$trigger($tr, true);
		}
	}
}
foreach ($export['zabbix_export']['triggers'] as $tr) {
	$trigger($tr, false);
}
echo 'judged: '.json_encode($judged)."\n";
