<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1">
<context>
    <name>Backend</name>
    <message>
        <location filename="../fusar_qgis/connection/backend.py" line="38"/>
        <source>“{url}” is not a backend address. Correct it, for example to http://127.0.0.1:8765.</source>
        <translation>“{url}”不是后端地址。请改正，例如 http://127.0.0.1:8765。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/backend.py" line="44"/>
        <source>The backend&apos;s token file cannot be read: {error}. Start the backend first.</source>
        <translation>无法读取后端的令牌文件：{error}。请先启动后端。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/backend.py" line="71"/>
        <source>No FUSAR-GPT backend was found. Install it outside QGIS with “pip install fusar-gpt” so that “fusar” is on the PATH, and restart QGIS; or start QGIS with “make qgis”.</source>
        <translation>未找到 FUSAR-GPT 后端。请在 QGIS 之外用“pip install fusar-gpt”安装，使“fusar”位于 PATH 中，然后重启 QGIS；或用“make qgis”启动 QGIS。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/backend.py" line="99"/>
        <source>{url} is not a FUSAR-GPT backend of this version. Update the backend and the plugin.</source>
        <translation>{url} 不是此版本的 FUSAR-GPT 后端。请更新后端和插件。</translation>
    </message>
</context>
<context>
    <name>ChildBackend</name>
    <message>
        <location filename="../fusar_qgis/connection/child.py" line="101"/>
        <source>it did not answer within two minutes</source>
        <translation>两分钟内没有应答</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/child.py" line="104"/>
        <source>The FUSAR-GPT backend could not start: {reason}. Run “fusar doctor” in a terminal.</source>
        <translation>FUSAR-GPT 后端无法启动：{reason}。请在终端中运行“fusar doctor”。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/child.py" line="104"/>
        <source>no reason given</source>
        <translation>未给出原因</translation>
    </message>
</context>
<context>
    <name>Client</name>
    <message>
        <location filename="../fusar_qgis/connection/client.py" line="59"/>
        <source>The backend does not accept the token. Check the token, or restart the backend.</source>
        <translation>后端不接受该令牌。请检查令牌，或重启后端。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/client.py" line="63"/>
        <source>The backend at {url} answered with HTTP {status}. Look at its log.</source>
        <translation>{url} 上的后端返回 HTTP {status}。请查看其日志。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/client.py" line="65"/>
        <source>The backend at {url} does not answer. Check that it runs, then try again.</source>
        <translation>{url} 上的后端没有应答。请确认其正在运行，然后重试。</translation>
    </message>
</context>
<context>
    <name>FusarPlugin</name>
    <message>
        <location filename="../fusar_qgis/plugin.py" line="52"/>
        <source>Interpret SAR</source>
        <translation>解译 SAR</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/plugin.py" line="57"/>
        <source>&lt;b&gt;Interpret SAR&lt;/b&gt;&lt;br&gt;Draw a rectangle on the active SAR layer</source>
        <translation>&lt;b&gt;解译 SAR&lt;/b&gt;&lt;br&gt;在当前 SAR 图层上绘制矩形</translation>
    </message>
</context>
<context>
    <name>Interpretation</name>
    <message>
        <location filename="../fusar_qgis/gui/interpretation.py" line="73"/>
        <source>Drag a rectangle around the area to interpret.</source>
        <translation>拖动鼠标，框选要解译的区域。</translation>
    </message>
</context>
<context>
    <name>Job</name>
    <message>
        <location filename="../fusar_qgis/connection/job.py" line="98"/>
        <source>The backend stopped in mid-run. Start the run again.</source>
        <translation>后端在运行途中停止。请重新开始运行。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/connection/job.py" line="111"/>
        <source>The backend&apos;s answer cannot be read. Install backend and plugin in the same version.</source>
        <translation>无法读取后端的应答。请安装相同版本的后端和插件。</translation>
    </message>
</context>
<context>
    <name>OrderDialog</name>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="44"/>
        <source>Interpret SAR</source>
        <translation>解译 SAR</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="76"/>
        <source>{model} (demonstration)</source>
        <translation>{model}（演示）</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="118"/>
        <source>Choose at least one</source>
        <translation>请至少选择一项</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="121"/>
        <source>Prior: 64-band raster or AlphaEarth points</source>
        <translation>先验：64 波段栅格或 AlphaEarth 点</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="124"/>
        <source>Choose a prior</source>
        <translation>选择先验</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="125"/>
        <source>No prior: from the image alone</source>
        <translation>无先验：仅依据影像</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="127"/>
        <source>Not given</source>
        <translation>未指定</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="130"/>
        <source>Connecting to the backend…</source>
        <translation>正在连接后端…</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="136"/>
        <source>Start</source>
        <translation>开始</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="146"/>
        <source>Scene</source>
        <translation>场景</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="147"/>
        <source>Band</source>
        <translation>波段</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="148"/>
        <source>&amp;Task</source>
        <translation>任务(&amp;T)</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="149"/>
        <source>T&amp;argets</source>
        <translation>目标(&amp;A)</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="150"/>
        <source>&amp;Model</source>
        <translation>模型(&amp;M)</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="151"/>
        <source>&amp;Prior</source>
        <translation>先验(&amp;P)</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="152"/>
        <source>&amp;Year of the prior</source>
        <translation>先验年份(&amp;Y)</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="180"/>
        <source>&lt;b&gt;Demonstration model.&lt;/b&gt; It shows how the work is done; do not rely on its answers.</source>
        <translation>&lt;b&gt;演示模型。&lt;/b&gt;仅用于展示工作流程，请勿依赖其结果。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/order_dialog.py" line="139"/>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>RunLayers</name>
    <message>
        <location filename="../fusar_qgis/layers/run_layers.py" line="156"/>
        <source>Detections</source>
        <translation>检测结果</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/run_layers.py" line="156"/>
        <source>Grid</source>
        <translation>网格</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/run_layers.py" line="156"/>
        <source>Answers</source>
        <translation>回答</translation>
    </message>
</context>
<context>
    <name>RunProgress</name>
    <message>
        <location filename="../fusar_qgis/gui/run_progress.py" line="26"/>
        <source>Starting…</source>
        <translation>正在启动…</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/run_progress.py" line="30"/>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>Running</name>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="71"/>
        <source>Cancelled. What was found so far stays on the map.</source>
        <translation>已取消。目前已找到的结果保留在地图上。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="73"/>
        <source>The backend gave no reason. Look at its log.</source>
        <translation>后端未给出原因。请查看其日志。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="74"/>
        <source>Failed: {reason}</source>
        <translation>失败：{reason}</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="82"/>
        <source>{n} detections</source>
        <translation>{n} 个检测目标</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="82"/>
        <source>{n} grid cells</source>
        <translation>{n} 个网格单元</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="82"/>
        <source>{n} answers</source>
        <translation>{n} 条回答</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="90"/>
        <source>Nothing found.</source>
        <translation>未发现任何目标。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="60"/>
        <source>chip {done} of {total} ({caveats})</source>
        <translation>第 {done} 个切片，共 {total} 个（{caveats}）</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/gui/running.py" line="82"/>
        <source>{n} not understood</source>
        <translation>{n} 条未能理解</translation>
    </message>
</context>
<context>
    <name>Scene</name>
    <message>
        <location filename="../fusar_qgis/layers/scene.py" line="38"/>
        <source>No layer is active. Select a SAR layer in the Layers panel, then try again.</source>
        <translation>没有活动图层。请在图层面板中选择一个 SAR 图层，然后重试。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/scene.py" line="42"/>
        <source>“{name}” is not a raster. Select a SAR layer in the Layers panel, then try again.</source>
        <translation>“{name}”不是栅格。请在图层面板中选择一个 SAR 图层，然后重试。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/scene.py" line="57"/>
        <source>“{name}” has no georeferencing. Georeference the file first (Layer, Georeferencer).</source>
        <translation>“{name}”没有地理参考。请先对该文件进行地理配准（图层，地理配准器）。</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/scene.py" line="51"/>
        <source>“{name}” is not a local file. Save it as a GeoTIFF (Export, Save As) and use that.</source>
        <translation>“{name}”不是本地文件。请先将其另存为 GeoTIFF（导出，另存为），再使用该文件。</translation>
    </message>
</context>
<context>
    <name>Styles</name>
    <message>
        <location filename="../fusar_qgis/layers/styles.py" line="62"/>
        <source>found</source>
        <translation>有目标</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/styles.py" line="62"/>
        <source>nothing found</source>
        <translation>无目标</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/styles.py" line="79"/>
        <source>answered</source>
        <translation>已回答</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/styles.py" line="79"/>
        <source>not understood</source>
        <translation>未能理解</translation>
    </message>
</context>
<context>
    <name>Wording</name>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="17"/>
        <source>Count</source>
        <translation>计数</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="18"/>
        <source>Describe</source>
        <translation>描述</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="43"/>
        <source>demonstration model</source>
        <translation>演示模型</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="45"/>
        <source>model {model}</source>
        <translation>模型 {model}</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="46"/>
        <source>no prior</source>
        <translation>无先验</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="48"/>
        <source>prior {prior}</source>
        <translation>先验 {prior}</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="53"/>
        <source>simulated scene</source>
        <translation>模拟场景</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="15"/>
        <source>Detect</source>
        <translation>检测</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="16"/>
        <source>Locate</source>
        <translation>定位</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="26"/>
        <source>a box around each object</source>
        <translation>为每个目标给出边框</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="27"/>
        <source>the cells of a 3 by 3 grid with objects</source>
        <translation>3×3 网格中含目标的单元</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="28"/>
        <source>how many objects there are</source>
        <translation>目标的数量</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="29"/>
        <source>the area in words</source>
        <translation>用文字描述该区域</translation>
    </message>
    <message>
        <location filename="../fusar_qgis/layers/wording.py" line="51"/>
        <source>simulated prior</source>
        <translation>模拟先验</translation>
    </message>
</context>
</TS>
